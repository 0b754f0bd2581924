# SPDX-License-Identifier: Apache-2.0
"""Run the teacher of the hybrid variant beside the student, on a stream of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videodepth_ros.models.flashdepth import FlashDepth


def run_teacher_concurrently(network: FlashDepth, device: torch.device) -> None:
    """Have the teacher begin when the student's encoder does; no effect without a teacher.

    Both see the same image and meet in the fusion. In a captured graph the two become branches.
    """
    if network.config.hybrid is None:
        return
    meeting = _TeacherStream(network.teacher_model, device)
    network.pretrained = _Fork(network.pretrained, meeting)
    network.teacher_model = _Join(meeting)  # type: ignore[assignment]


class _TeacherStream:
    """The teacher, its stream, and what it is working at."""

    def __init__(self, teacher: nn.Module, device: torch.device) -> None:
        self.teacher = teacher
        self.stream = torch.cuda.Stream(device)
        self.answer: Tensor | None = None

    def begin(self, image: Tensor) -> None:
        """Start the teacher on an image that the current stream has made or is about to make."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.answer = self.teacher(image)

    def wait(self) -> Tensor:
        """Have the current stream wait for the teacher; the host does not."""
        torch.cuda.current_stream().wait_stream(self.stream)
        answer, self.answer = self.answer, None
        assert answer is not None
        answer.record_stream(torch.cuda.current_stream())
        return answer


class _Fork(nn.Module):
    """The student's encoder, which starts the teacher first."""

    def __init__(self, encoder: nn.Module, meeting: _TeacherStream) -> None:
        super().__init__()
        self.encoder, self._meeting = encoder, meeting

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Encode the image (B, 3, H, W), see ``EncoderConfig``."""
        self._meeting.begin(image)
        return self.encoder(image)


class _Join(nn.Module):
    """In the teacher's place: what it has made of the image that it was begun with."""

    def __init__(self, meeting: _TeacherStream) -> None:
        super().__init__()
        self._meeting = meeting

    def forward(self, image: Tensor) -> Tensor:
        """Return the teacher's path; the image is the one that the student has seen."""
        return self._meeting.wait()
