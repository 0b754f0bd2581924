# SPDX-License-Identifier: Apache-2.0
"""CameraInfo: intrinsics with checks, rectification, and writing.

The message describes the full sensor; binning and region of interest give the part that the image
shows (sensor_msgs/CameraInfo). K and D belong to the raw image, P to the rectified one.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.lens import lens_from, require_plausible

Matrix = tuple[float, ...]  # row by row

IDENTITY: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
MAX_REMAP_SIDE_PX = 32766
"""Longest side of an image for ``cv2.remap``, whose maps have 16 bits [px]."""

MIN_FOCAL_LENGTH = 0.02
"""Least focal length in image widths: a pinhole of 175 degrees."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of an image of ``width`` x ``height``, binning and region applied.

    K         (3 x 3, row by row) of the raw image; empty if the message has P only
    model, D  lens model and coefficients of the raw image, unchecked
    R         (3 x 3) from the raw camera's frame to the rectified one, unchecked
    P         (3 x 3, left part) of the rectified image
    """

    width: int
    height: int
    K: Matrix
    model: str
    D: Matrix
    R: Matrix
    P: Matrix

    @property
    def is_rectified(self) -> bool:
        """Whether the raw image is the rectified one already."""
        if any(self.D):
            return False
        return not self.K or (self.R == IDENTITY and np.allclose(self.K, self.P))

    @property
    def camera(self) -> Intrinsics:
        """Intrinsics of the rectified image."""
        return Intrinsics(self.width, self.height, self.P[0], self.P[4], self.P[2], self.P[5])

    @property
    def raw_camera(self) -> Intrinsics:
        """Intrinsics of the raw image, its distortion left aside."""
        K = self.K or self.P
        return Intrinsics(self.width, self.height, K[0], K[4], K[2], K[5])


@dataclass(frozen=True, eq=False)
class Rectifier:
    """Removes a lens' distortion.

    calibration  of the raw images
    """

    calibration: Calibration

    @property
    def camera(self) -> Intrinsics:
        """Intrinsics of the rectified images, at the size of the raw ones."""
        return self.calibration.camera

    def rectify(self, image: NDArray[np.uint8], halvings: int = 0) -> NDArray[np.uint8]:
        """Return the pinhole view of a raw image (H, W, 3) uint8 that is halved so many times."""
        height, width = image.shape[:2]
        for _ in range(halvings):
            width, height = width // 2, height // 2
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        columns, rows = _maps(self.calibration, (width, height))
        return np.asarray(cv2.remap(image, columns, rows, cv2.INTER_LINEAR), np.uint8)

    def rectify_depth(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the pinhole view of a raw depth map, (H, W) float32; NaN where it saw nothing.

        Every value is one of the map: a mean of two surfaces lies on neither.
        """
        size = depth_m.shape[1], depth_m.shape[0]
        # These maps it rounds; of the others it drops the fraction.
        columns, rows = cv2.convertMaps(*_maps(self.calibration, size), cv2.CV_32FC1)
        rectified = cv2.remap(depth_m, columns, rows, cv2.INTER_NEAREST, borderValue=np.nan)
        return np.asarray(rectified, np.float32)


def is_calibrated(msg: Any) -> bool:
    """Return whether a CameraInfo describes a camera: K[0] or P[0] is not zero."""
    return bool(_field(msg, 'k')[0] or _field(msg, 'p')[0])


def calibration_from(msg: Any, width: int, height: int) -> Calibration | None:
    """Read a CameraInfo (ROS 1 or 2) for an image of ``width`` x ``height`` pixels.

    P stands in for K where only that is filled, and K for P. Lens and R are not looked at, for
    they play a part in rectification only.

    returns  None if the camera is uncalibrated: K[0] == 0 (sensor_msgs/CameraInfo)
    raises   InputError if the image has no pixels, the message does not fit it, or its numbers
             make no camera
    """
    if min(width, height) < 1:
        raise InputError(f'an image of {width}x{height} has no pixels; check the camera driver')
    if not is_calibrated(msg):
        return None
    K, P = _numbers(msg, 'k', 9), _numbers(msg, 'p', 12)
    P = (*P[0:3], *P[4:7], *P[8:11]) if P[0] != 0.0 else K
    K, P = _in_pixels(K, 'K', width), _in_pixels(P, 'P', width)
    place = _place_in(msg, K if K[0] != 0.0 else P, width, height)
    R = _field(msg, 'r')
    return Calibration(
        width,
        height,
        _apply_roi_and_binning(K, place) if K[0] != 0.0 else (),
        str(msg.distortion_model),
        _field(msg, 'd'),
        R if any(R) else IDENTITY,
        _apply_roi_and_binning(P, place),
    )


def intrinsics_from(msg: Any, width: int, height: int) -> Intrinsics | None:
    """Return intrinsics of the rectified image of ``width`` x ``height``; None if uncalibrated.

    They come from P, which for a stereo camera differs from K, or from K where P is not filled.
    raises  InputError if the message does not fit the image, or its numbers make no camera
    """
    calibration = calibration_from(msg, width, height)
    return calibration.camera if calibration else None


def rectifier_from(msg: Any, width: int, height: int) -> Rectifier | None:
    """Return the rectifier of raw images of ``width`` x ``height``; None if they need none.

    Topics such as ``image_rect`` have the same message but are rectified already.
    raises  InputError if the message does not fit the image, or as `create_rectifier`
    """
    calibration = calibration_from(msg, width, height)
    return None if calibration is None else create_rectifier(calibration)


def view_from(
    msg: Any | None, width: int, height: int, *, rectify: bool
) -> tuple[Intrinsics | None, Rectifier | None, str]:
    """Return the intrinsics of an image after its rectifier, which is None if none is needed.

    Where the lens cannot be removed, the raw intrinsics, and why as text; else that is empty.
    raises  InputError as `calibration_from`
    """
    calibration = None if msg is None else calibration_from(msg, width, height)
    if calibration is None:
        return None, None, ''
    if not rectify:
        return calibration.camera, None, ''
    try:
        return calibration.camera, create_rectifier(calibration), ''
    except InputError as error:
        return calibration.raw_camera, None, str(error)


def create_rectifier(calibration: Calibration) -> Rectifier | None:
    """Return the rectifier of the raw images of a calibration; None if they need none.

    raises  InputError if its lens is unknown or implausible, R is no rotation, K is not filled,
            or the image is too large
    """
    if calibration.is_rectified:
        return None
    size = calibration.width, calibration.height
    if max(size) > MAX_REMAP_SIDE_PX:
        raise InputError(
            f'an image of {size[0]}x{size[1]} cannot be rectified, for its sides may '
            f'have {MAX_REMAP_SIDE_PX} pixels; give rectified or smaller images'
        )
    if not calibration.K:
        raise InputError(
            'camera_info has P and D but no K, so raw images cannot be rectified; calibrate '
            'again, or set rectify to never if the images are rectified'
        )
    lens = lens_from(calibration.model, calibration.D)
    _check_rotation(calibration.R)
    require_plausible(lens, calibration.K, calibration.R, calibration.P, size)
    return Rectifier(calibration)


@lru_cache(maxsize=8)  # two maps of 1080p take 12 MB; one calibration serves a whole stream
def _maps(calibration: Calibration, size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the maps of ``cv2.remap`` for the raw image resized to ``size``."""
    x, y = size[0] / calibration.width, size[1] / calibration.height
    resizing = np.array([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2], [0.0, 0.0, 1.0]])
    K, R, P = (np.reshape(each, (3, 3)) for each in (calibration.K, calibration.R, calibration.P))
    lens = lens_from(calibration.model, calibration.D)
    return lens.maps(resizing @ K, R, resizing @ P, size, cv2.CV_16SC2)


def fill_camera_info(msg: Any, camera: Intrinsics) -> None:
    """Write a rectified camera into a CameraInfo, in place; the header is the caller's.

    K equals the left part of P, for nvblox reads K and depth_image_proc reads P.
    """
    msg.width, msg.height = camera.width, camera.height
    msg.distortion_model = 'plumb_bob'
    msg.d = np.zeros(5) if isinstance(msg.d, np.ndarray) else array.array('d', [0.0] * 5)
    msg.k = camera.matrix.reshape(9)
    msg.r = np.eye(3).reshape(9)
    msg.p = np.column_stack([camera.matrix, np.zeros(3)]).reshape(12)
    msg.binning_x = msg.binning_y = 0
    msg.roi.x_offset = msg.roi.y_offset = msg.roi.width = msg.roi.height = 0
    msg.roi.do_rectify = False


@dataclass(frozen=True)
class _Place:
    """Place of an image on the sensor: first pixel of its region, then pixels in a bin."""

    x: int = 0
    y: int = 0
    bin_x: int = 1
    bin_y: int = 1


def _field(msg: Any, name: str) -> Matrix:
    """Return the numbers of a field, whose name is upper-case in ROS 1."""
    return tuple(float(v) for v in getattr(msg, name if hasattr(msg, name) else name.upper()))


def _numbers(msg: Any, name: str, count: int) -> Matrix:
    """Return a matrix of the message; raise InputError unless it has ``count`` finite numbers."""
    values = _field(msg, name)
    if not np.all(np.isfinite(values)) or len(values) != count:
        raise InputError(
            f'camera_info {name.upper()} is {list(values)}, where '
            f'{count} finite numbers belong; calibrate the camera again'
        )
    return values


def _in_pixels(K: Matrix, name: str, width: int) -> Matrix:
    """Return a camera matrix (3 x 3, row by row) whose last number is 1; all zeros stay so.

    raises  InputError if its last row is not that of a camera, or if its focal length is so short
            that it has another unit than pixels of an image of ``width``
    """
    scale = K[8] or 1.0
    if any(K[6:8]) or scale < 0:
        raise InputError(
            f'camera_info {name} has the last row {list(K[6:])}, where 0 0 1 belongs; store the '
            'matrix row by row'
        )
    if 0 < K[0] / scale < MIN_FOCAL_LENGTH * width:
        raise InputError(
            f'camera_info {name} has a focal length of {K[0] / scale:g} pixels for an image of '
            f'{width} columns; give K and P in pixels, not in millimetres or image widths'
        )
    return (*(number / scale for number in K[:8]), 1.0)


def _check_rotation(R: Matrix) -> None:
    """Raise InputError unless R, (3 x 3) row by row, is a rotation."""
    rows = np.reshape(R, (3, 3)) if len(R) == 9 else np.full((3, 3), np.nan)
    if not (np.abs(rows).max() <= 1.001 and np.allclose(rows @ rows.T, np.eye(3), atol=1e-3)):
        raise InputError(
            f'camera_info R is {list(R)}, which is no rotation; calibrate the camera again'
        )


def _place_in(msg: Any, K: Matrix, width: int, height: int) -> _Place:
    """Return the place of an image on the sensor that the message describes.

    An image of the full size has neither region nor bins. Where the message has no size, the
    principal point must lie in the image.
    raises  InputError if the image has another size than the message gives
    """
    roi, bin_x, bin_y = msg.roi, max(int(msg.binning_x), 1), max(int(msg.binning_y), 1)
    full = int(msg.width), int(msg.height)
    expected = (int(roi.width or msg.width) // bin_x, int(roi.height or msg.height) // bin_y)
    if (width, height) == expected:
        return _Place(int(roi.x_offset), int(roi.y_offset), bin_x, bin_y)
    is_inside = 0 < K[2] < width and 0 < K[5] < height
    if (width, height) == full or (0 in full and is_inside):
        return _Place()
    raise InputError(
        f'image is {width}x{height} but camera_info gives {expected[0]}x{expected[1]}; '
        'choose the camera_info topic that belongs to this image'
    )


def _apply_roi_and_binning(K: Matrix, place: _Place) -> Matrix:
    """Move a camera matrix of the full sensor to the region of interest, then to its bins.

    A bin is the mean of its pixels, hence the pixel-centre rule c' = (c + 0.5) / bin - 0.5.
    """
    bin_x, bin_y = place.bin_x, place.bin_y
    cx = (K[2] - place.x + 0.5) / bin_x - 0.5
    cy = (K[5] - place.y + 0.5) / bin_y - 0.5
    return (K[0] / bin_x, K[1] / bin_x, cx, K[3] / bin_y, K[4] / bin_y, cy, *K[6:])
