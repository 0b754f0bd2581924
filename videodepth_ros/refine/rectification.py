# SPDX-License-Identifier: Apache-2.0
"""Rectification of frames by a lens that was calibrated from the recording itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from videodepth_ros.frames import Frame
from videodepth_ros.messages.lens import Lens as LensModel
from videodepth_ros.sfm.lens import Lens


def rectify_frames(frames: Iterable[Frame], lens: Lens) -> Iterator[Frame]:
    """Yield frames without the distortion of the lens, with the intrinsics of its pinhole.

    lens  calibrated at any size of the images' aspect ratio
    """
    maps, size = None, (0, 0)
    for frame in frames:
        if maps is None or frame.size != size:
            size, scaled = frame.size, lens.scaled_to(*frame.size)
            K = scaled.camera.matrix
            K[:2, 2] = scaled.centre
            model = LensModel(is_fisheye=False, D=(*scaled.radial, 0.0, 0.0))
            maps = model.maps(K, np.eye(3), K, size, cv2.CV_16SC2)
        image = cv2.remap(frame.image, *maps, cv2.INTER_LINEAR)
        yield Frame(frame.stamp_ns, frame.frame_id, np.asarray(image, np.uint8), scaled.camera)
