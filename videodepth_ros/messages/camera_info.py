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

Matrix = tuple[float, ...]  # row by row

IDENTITY: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
PINHOLE_MODELS = {'plumb_bob': (4, 5), 'rational_polynomial': (4, 5, 8, 12, 14)}
FISHEYE_MODELS = {'equidistant': (4,), 'fisheye': (4,)}
_LENGTHS = PINHOLE_MODELS | FISHEYE_MODELS
MAX_REMAP_SIDE_PX = 32766
"""Longest side of an image for ``cv2.remap``, whose maps have 16 bits [px]."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of an image of ``width`` x ``height``, binning and region applied.

    K           (3 x 3, row by row) of the raw image
    distortion  coefficients of ``model``; empty for a pinhole
    R           (3 x 3) from the raw camera's frame to the rectified one
    P           (3 x 3, left part) of the rectified image
    """

    width: int
    height: int
    K: Matrix
    model: str
    distortion: Matrix
    R: Matrix
    P: Matrix

    @property
    def is_rectified(self) -> bool:
        """Whether the raw image is the rectified one already."""
        return not self.distortion and self.R == IDENTITY and np.allclose(self.K, self.P)

    @property
    def camera(self) -> Intrinsics:
        """Intrinsics of the rectified image."""
        return Intrinsics(self.width, self.height, self.P[0], self.P[4], self.P[2], self.P[5])


@dataclass(frozen=True, eq=False)
class Rectifier:
    """Removes a lens' distortion.

    camera  intrinsics of the images that come out
    """

    camera: Intrinsics
    _columns: NDArray[Any]
    _rows: NDArray[Any]

    def rectify(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the pinhole view of a raw image, (H, W, 3) uint8, at the same size."""
        rectified = cv2.remap(image, self._columns, self._rows, cv2.INTER_LINEAR)
        return np.asarray(rectified, np.uint8)

    def rectify_depth(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the pinhole view of a raw depth map, (H, W) float32; NaN where it saw nothing.

        Every value is one of the map: a mean of two surfaces lies on neither.
        """
        # These maps it rounds; of the others it drops the fraction.
        columns, rows = cv2.convertMaps(self._columns, self._rows, cv2.CV_32FC1)
        rectified = cv2.remap(depth_m, columns, rows, cv2.INTER_NEAREST, borderValue=np.nan)
        return np.asarray(rectified, np.float32)


def calibration_from(msg: Any, width: int, height: int) -> Calibration | None:
    """Read a CameraInfo (ROS 1 or 2) for an image of ``width`` x ``height`` pixels.

    returns  None if the camera is uncalibrated: K[0] == 0 (sensor_msgs/CameraInfo)
    raises   InputError if the message does not fit the image, or its numbers make no camera
    """
    K = _numbers(msg, 'k', 9)
    if K[0] == 0.0:
        return None
    _check_size(msg, width, height)
    P = _numbers(msg, 'p', 12)
    P = (*P[0:3], *P[4:7], *P[8:11]) if P[0] != 0.0 else K
    return Calibration(
        width,
        height,
        _apply_roi_and_binning(K, msg),
        *_distortion(msg),
        _rotation(msg),
        _apply_roi_and_binning(P, msg),
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
    raises  InputError if the message does not fit the image, its lens model is unknown, or the
            image is too large
    """
    calibration = calibration_from(msg, width, height)
    if calibration is None or calibration.is_rectified:
        return None
    if max(width, height) > MAX_REMAP_SIDE_PX:
        raise InputError(
            f'an image of {width}x{height} cannot be rectified, for its sides may '
            f'have {MAX_REMAP_SIDE_PX} pixels; give rectified or smaller images'
        )
    return _rectifier(calibration)


@lru_cache(maxsize=8)  # two maps of 1080p take 12 MB; one calibration serves a whole stream
def _rectifier(calibration: Calibration) -> Rectifier:
    K, R, P = (np.array(m).reshape(3, 3) for m in (calibration.K, calibration.R, calibration.P))
    D = np.array(calibration.distortion)
    size = (calibration.width, calibration.height)
    if calibration.model in FISHEYE_MODELS and D.size:
        maps = cv2.fisheye.initUndistortRectifyMap(K, D, R, P, size, cv2.CV_16SC2)
    else:
        maps = cv2.initUndistortRectifyMap(K, D, R, P, size, cv2.CV_16SC2)
    return Rectifier(calibration.camera, *maps)


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


def _numbers(msg: Any, name: str, count: int | None = None) -> Matrix:
    """Return a matrix of the message, whose name is upper-case in ROS 1."""
    values = tuple(float(v) for v in getattr(msg, name if hasattr(msg, name) else name.upper()))
    if not np.all(np.isfinite(values)) or (count is not None and len(values) != count):
        raise InputError(
            f'camera_info {name.upper()} is {list(values)}, where '
            f'{count or "only"} finite numbers belong; calibrate the camera again'
        )
    return values


def _rotation(msg: Any) -> Matrix:
    """Return R, the identity where it is not filled."""
    R = _numbers(msg, 'r', 9)
    if not any(R):
        return IDENTITY
    rows = np.reshape(R, (3, 3))
    if np.abs(rows).max() > 1.001 or not np.allclose(rows @ rows.T, np.eye(3), atol=1e-3):
        raise InputError(
            f'camera_info R is {list(R)}, which is no rotation; calibrate the camera again'
        )
    return R


def _distortion(msg: Any) -> tuple[str, Matrix]:
    """Return model and coefficients; none for a pinhole, whatever its model name."""
    D = _numbers(msg, 'd')
    model = str(msg.distortion_model)
    if not any(D):
        return model, ()
    if len(D) not in _LENGTHS.get(model, ()):
        raise InputError(
            f'camera_info has lens model {model!r} with {len(D)} coefficients; '
            'known are plumb_bob (4 or 5), rational_polynomial (up to 14) and '
            'equidistant (4): calibrate again, or give a rectified image'
        )
    return model, D


def _binning(msg: Any) -> tuple[int, int]:
    return max(int(msg.binning_x), 1), max(int(msg.binning_y), 1)


def _check_size(msg: Any, width: int, height: int) -> None:
    """Raise InputError unless the image has the size in the message, after binning and region."""
    roi, (bin_x, bin_y) = msg.roi, _binning(msg)
    expected = (int(roi.width or msg.width) // bin_x, int(roi.height or msg.height) // bin_y)
    if expected != (width, height):
        raise InputError(
            f'image is {width}x{height} but camera_info gives {expected[0]}x{expected[1]}; '
            'choose the camera_info topic that belongs to this image, or none'
        )


def _apply_roi_and_binning(K: Matrix, msg: Any) -> Matrix:
    """Move a camera matrix of the full sensor to the region of interest, then to its bins.

    A bin is the mean of its pixels, hence the pixel-centre rule c' = (c + 0.5) / bin - 0.5.
    """
    bin_x, bin_y = _binning(msg)
    cx = (K[2] - float(msg.roi.x_offset) + 0.5) / bin_x - 0.5
    cy = (K[5] - float(msg.roi.y_offset) + 0.5) / bin_y - 0.5
    return (K[0] / bin_x, K[1] / bin_x, cx, K[3] / bin_y, K[4] / bin_y, cy, *K[6:])
