# SPDX-License-Identifier: Apache-2.0
"""Structure from motion with a depth prior: tracks, bundle adjustment and loop closure.

A camera moves 50 mm per frame in front of a textured wall at 2 m:

>>> import numpy as np
>>> from videodepth_ros.geometry import Intrinsics
>>> from videodepth_ros.sfm import reconstruct
>>> camera = Intrinsics.centred(width=160, height=120, focal_px=160)
>>> cells = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
>>> wall = cells.repeat(4, axis=0).repeat(4, axis=1)
>>> images = np.stack([wall[:, 4 * n : 4 * n + 160] for n in range(8)])  # (N, H, W, 3) RGB
>>> depth = np.full((8, 120, 160), 2, np.float32)  # the prior, (N, h, w), metres
>>> found = reconstruct(images, depth, camera)
>>> round(float(found.T_world_cam[7, 0, 3]), 2)  # metres to the right
0.35
>>> found.log_depth_correction.shape  # a grid per frame, to add to the log of the prior
(8, 7, 9)
>>> found.warnings()
()
"""

from videodepth_ros.sfm.options import ReconstructionOptions
from videodepth_ros.sfm.reconstruction import Reconstruction, reconstruct
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction
from videodepth_ros.sfm.sparse import SparseRecording, reconstruct_sparse

__all__ = [
    'Reconstruction',
    'ReconstructionOptions',
    'SparseReconstruction',
    'SparseRecording',
    'reconstruct',
    'reconstruct_sparse',
]
