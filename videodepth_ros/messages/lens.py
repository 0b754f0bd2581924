# SPDX-License-Identifier: Apache-2.0
"""Lens models of CameraInfo, by the names of many writers, as OpenCV computes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError

PINHOLE = (4, 5, 8, 12, 14)
"""Numbers of coefficients k1 k2 p1 p2 k3 .. k6 s1 .. s4 tx ty of cv2.initUndistortRectifyMap."""
FISHEYE = (4,)
"""Number of coefficients of cv2.fisheye.initUndistortRectifyMap, of Kannala and Brandt (2006)."""
RADIAL = 2
"""Number of leading coefficients that are radial in each model: those after may be missing."""
PINHOLE_NAMES = {
    *('', 'plumbbob', 'rationalpolynomial', 'rational', 'thinprism', 'tilted', 'radtan'),
    *('radialtangential', 'brownconrady', 'brown', 'opencv', 'fullopencv', 'pinhole'),
    *('perspective', 'pinholeradtan'),
}
FISHEYE_NAMES = {
    *('equidistant', 'equi', 'fisheye', 'opencvfisheye', 'pinholeequi', 'pinholeequidistant'),
    *('kannalabrandt', 'kb'),
}
"""Names of models: lower case, letters only, as the number of coefficients is that of D."""
MIN_VISIBLE_SHARE = 0.4
"""Least share of a rectified image that shows the raw one; alpha = 1 leaves more than a half."""
_NEXT = 'calibrate again, or set rectify to never if the images are rectified'
_GRID_PX = 96  # longer side of the image on which the share is counted


@dataclass(frozen=True)
class Lens:
    """Distortion of a raw image.

    is_fisheye  whether the coefficients are those of ``cv2.fisheye``
    D           coefficients; empty for a pinhole
    """

    is_fisheye: bool
    D: tuple[float, ...]

    def maps(
        self, K: NDArray[Any], R: NDArray[Any], P: NDArray[Any], size: tuple[int, int], kind: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the maps of ``cv2.remap`` that rectify an image of ``size``.

        K, R, P  (3, 3) raw camera, rotation to the rectified frame, rectified camera
        kind     type of the first map, such as cv2.CV_16SC2
        """
        D = np.array(self.D)
        module = cv2.fisheye if self.is_fisheye and self.D else cv2
        columns, rows = module.initUndistortRectifyMap(K, D, R, P, size, kind)
        return columns, rows


def lens_from(model: str, D: tuple[float, ...]) -> Lens:
    """Return the lens of a model's name and its coefficients.

    Zeros at the end that OpenCV does not take are dropped, and those after k1 and k2 may be
    missing; without distortion the name is free.
    raises  InputError if the name, the number of coefficients or a coefficient is unknown
    """
    if not any(D):
        return Lens(is_fisheye=False, D=())
    if not np.all(np.isfinite(D)):
        raise InputError(f'camera_info D is {list(D)}, where only finite numbers belong; {_NEXT}')
    name = re.sub('[^a-z]', '', model.lower())
    is_fisheye = name in FISHEYE_NAMES
    lengths = FISHEYE if is_fisheye else PINHOLE if name in PINHOLE_NAMES else ()
    used = len(np.trim_zeros(np.array(D), 'b'))
    given = D if len(D) > RADIAL else (*D, *(0.0,) * (FISHEYE[0] - len(D)))
    fitting = [length for length in lengths if used <= length <= len(given)]
    if not fitting:
        raise InputError(
            f'camera_info has lens model {model!r} with {len(D)} coefficients; known are '
            f'plumb_bob and rational_polynomial (4, 5, 8, 12 or 14) and equidistant (4): {_NEXT}'
        )
    return Lens(is_fisheye, given[: fitting[0]])


@lru_cache(maxsize=8)
def require_plausible(
    lens: Lens,
    K: tuple[float, ...],
    R: tuple[float, ...],
    P: tuple[float, ...],
    size: tuple[int, int],
) -> None:
    """Raise InputError if rectification would leave too little of the raw image.

    A pixel of the rectified image counts where it shows the raw one, and where the map is neither
    folded nor turned about: determinant and trace of its Jacobian, R undone, are positive.
    K, R, P  row by row; see `Lens.maps`
    """
    scale = min(1.0, _GRID_PX / max(size))
    small = tuple(max(2, round(side * scale)) for side in size)
    resize = np.diag([small[0] / size[0], small[1] / size[1], 1.0])
    K3, R3, P3 = (np.reshape(each, (3, 3)) for each in (K, R, P))
    columns, rows = lens.maps(resize @ K3, R3, resize @ P3, (small[0], small[1]), cv2.CV_32FC1)
    with np.errstate(all='ignore'):
        (du_dy, du_dx), (dv_dy, dv_dx) = np.gradient(columns), np.gradient(rows)
        is_seen = (columns > -1) & (columns < small[0]) & (rows > -1) & (rows < small[1])
        is_seen &= du_dx * dv_dy - du_dy * dv_dx > 0
        is_seen &= R[0] * du_dx + R[1] * dv_dx + R[3] * du_dy + R[4] * dv_dy > 0
    if np.mean(is_seen) < MIN_VISIBLE_SHARE:
        raise InputError(
            f'camera_info D is {list(lens.D)}: rectified by it, only {np.mean(is_seen):.0%} of '
            f'the image is left; {_NEXT}'
        )
