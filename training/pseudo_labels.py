# SPDX-License-Identifier: Apache-2.0
"""Clips whose depth a teacher computed: images, a video or a recording to pseudo-labels.

A metric teacher (Depth Pro, a metric Depth Anything V2, a depth camera in the recording) gives
canonical inverse depth with the focal length. A relative one gives a / Z + b, of which scale and
shift are those that bring its median and mean absolute deviation to the student's (the
normalisation of Ranftl et al. 2022, arXiv 1907.01341, section 5): it teaches shape, not metres.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice, tee
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.recorded import CLIP_FRAMES, STORED_WIDTH
from training.shards import CANONICAL_UNIT, write_clip
from training.validate import predict_clip
from videodepth_ros.bags.footage import open_footage
from videodepth_ros.bags.frames import read_frames
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.core.errors import InputError
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.mono import MonoEstimate, MonoPrior, PriorKind

Array = NDArray[np.float32]
RECORDINGS = '.mcap', '.bag', '.db3'
NETWORK_PX = 256, 192
"""Size at which the student is run for its scale."""


def source_frames(source: Path, every: int, focal: float | None) -> Iterator[Frame]:
    """Yield every ``every``-th frame of a folder of images, a video or a recording.

    focal   fx / width of images and videos; None where it is unknown
    raises  InputError, BagError where nothing can be read
    """
    if is_recording(source):
        reader = open_bag(source)
        try:
            yield from islice(read_frames(reader), 0, None, every)
        finally:
            reader.close()
        return
    for shot in islice(open_footage(source).frames(), 0, None, every):
        pixels = cv2.imdecode(np.frombuffer(shot.data, np.uint8), cv2.IMREAD_COLOR)
        image = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
        camera = None
        if focal is not None:
            camera = Intrinsics.centred(shot.width, shot.height, focal * shot.width)
        yield Frame(shot.stamp_ns, 'camera', image, camera)


def is_recording(source: Path) -> bool:
    """Return whether a path is a ROS recording, and not images or a video."""
    if source.is_dir():
        return (source / 'metadata.yaml').exists() or any(source.glob('*.mcap'))
    return source.suffix in RECORDINGS


def clip_length(source: Path) -> int:
    """Return the frames of a clip: a folder of images is no video, so each stands alone."""
    return 1 if source.is_dir() and not is_recording(source) else CLIP_FRAMES


def store_labels(
    folder: Path,
    name: str,
    shots: Iterable[Frame],
    length: int,
    teacher: MonoPrior,
    student: FlashDepth,
) -> int:
    """Write clips of up to ``length`` frames with the teacher's depth; return how many.

    A clip without any depth is left out.
    student  gives a relative teacher its scale
    raises   InputError where a metric teacher has no focal length to be canonical with
    """
    for_teacher, for_clips = tee(shots)
    labelled = zip(for_clips, teacher.estimate(for_teacher), strict=True)
    number = 0
    for _, alike in groupby(labelled, key=lambda pair: pair[0].size):
        while pairs := list(islice(alike, length)):
            images = np.stack([_stored(frame.image) for frame, _ in pairs])
            inverse = np.stack([_label(*pair, images.shape[1:3]) for pair in pairs])
            if not np.isfinite(inverse).any():
                continue
            if pairs[0][1].kind is PriorKind.RELATIVE_INVERSE:
                inverse = _as_student(inverse, images, student)
            write_clip(folder, name, number, images, inverse.astype(np.float16))
            number += 1
    return number


def _stored(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    width = min(STORED_WIDTH, image.shape[1])
    size = width, round(image.shape[0] * width / image.shape[1])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _label(frame: Frame, estimate: MonoEstimate, size: tuple[int, ...]) -> Array:
    """Return inverse depth (h, w) of ``size``: canonical of a metric teacher, else its own."""
    values = cv2.resize(estimate.values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    if estimate.kind is PriorKind.RELATIVE_INVERSE:
        return values
    with np.errstate(divide='ignore'):
        return np.float32(CANONICAL_UNIT * _focal(frame, estimate)) / values


def _focal(frame: Frame, estimate: MonoEstimate) -> float:
    """Return fx / width that the metres of an estimate belong to."""
    if estimate.focal_px is not None:
        return estimate.focal_px / estimate.values.shape[1]
    if frame.camera is not None:
        return frame.camera.fx / frame.camera.width
    raise InputError('metric depth needs the focal length of the camera: give --focal FX/WIDTH')


def _as_student(inverse: Array, images: NDArray[np.uint8], student: FlashDepth) -> Array:
    """Bring a / Z + b of a clip (T, h, w) to the median and deviation of the student's depth."""
    small = np.stack([cv2.resize(i, NETWORK_PX, interpolation=cv2.INTER_AREA) for i in images])
    (own, spread), (wanted, wanted_spread) = (
        _median_and_deviation(values) for values in (inverse, predict_clip(student, small))
    )
    return np.maximum((inverse - own) * (wanted_spread / max(spread, 1e-6)) + wanted, 1e-3)


def _median_and_deviation(values: Array) -> tuple[np.float32, np.float32]:
    median = np.nanmedian(values)
    return median, np.nanmean(np.abs(values - median))
