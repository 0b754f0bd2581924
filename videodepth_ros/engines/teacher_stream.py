# SPDX-License-Identifier: Apache-2.0
"""Run the teacher of the hybrid variant concurrently with the student, on its own CUDA stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videodepth_ros.models.flashdepth import FlashDepth


def run_teacher_concurrently(network: FlashDepth, device: torch.device) -> None:
    """Fork the teacher before the student's encoder and join it in the fusion.

    Without a teacher this has no effect. In a captured graph the two become parallel branches.
    """
    if network.config.hybrid is None:
        return
    teacher_stream = _TeacherStream(network.teacher_model, device)
    network.pretrained = _Fork(network.pretrained, teacher_stream)
    network.teacher_model = _Join(teacher_stream)  # type: ignore[assignment]


class _TeacherStream:
    """The teacher, its CUDA stream, and its pending features."""

    def __init__(self, teacher: nn.Module, device: torch.device) -> None:
        self.teacher = teacher
        self.stream = torch.cuda.Stream(device)
        self.features: Tensor | None = None

    def begin(self, image: Tensor) -> None:
        """Enqueue the teacher on an image of the current stream."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.features = self.teacher(image)

    def wait(self) -> Tensor:
        """Make the current stream wait for the teacher, without blocking the host."""
        torch.cuda.current_stream().wait_stream(self.stream)
        features, self.features = self.features, None
        assert features is not None
        features.record_stream(torch.cuda.current_stream())
        return features


class _Fork(nn.Module):
    """The student's encoder, which enqueues the teacher first."""

    def __init__(self, encoder: nn.Module, teacher_stream: _TeacherStream) -> None:
        super().__init__()
        self.encoder, self._teacher_stream = encoder, teacher_stream

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Encode the image (B, 3, H, W), see ``EncoderConfig``."""
        self._teacher_stream.begin(image)
        return self.encoder(image)


class _Join(nn.Module):
    """Stand-in for the teacher that returns its features from its CUDA stream."""

    def __init__(self, teacher_stream: _TeacherStream) -> None:
        super().__init__()
        self._teacher_stream = teacher_stream

    def forward(self, image: Tensor) -> Tensor:
        """Return the teacher's path_4; ``image`` is the one passed to ``_Fork``."""
        return self._teacher_stream.wait()
