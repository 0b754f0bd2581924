# SPDX-License-Identifier: Apache-2.0
"""Typed aliases of numpy arrays, and of pairs of frame indices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
"""Any precision."""
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]
MaskArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]
StampArray = NDArray[np.int64]
"""Nanoseconds."""

Edge = tuple[int, int]
"""Indices of two frames (i, j), ordered: the point maps of the pair are in the camera of i."""
