# SPDX-License-Identifier: Apache-2.0
"""Mesh of a recording: a truncated signed distance volume, filled frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.mvs.mesh import Mesh, extract_mesh, write_mesh_ply
from videodepth_ros.mvs.tsdf import TsdfOptions, TsdfVolume
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.options import MESH


@dataclass
class FusedMesh:
    """The volume, and the stride of the frames that are fused."""

    volume: TsdfVolume
    stride: int
    _count: int = 0

    @classmethod
    def around(cls, points_m: Float64Array, T_map_world: Float64Array, frames: int) -> FusedMesh:
        """Return an empty map of a scene.

        points_m     (N, 3) float64, points of the scene in the world
        T_map_world  (4, 4) float64; frames: their number in the recording
        raises       InputError if there are no points
        """
        # unlike a product of matrices it gives the same bits on any number of threads
        in_map = cv2.transform(points_m[:, None], T_map_world[:3])[:, 0]
        volume = TsdfVolume.around(np.asarray(in_map, np.float64), TsdfOptions())
        return cls(volume, max(1, round(frames / MESH.max_frames)))

    def add(self, frame: RefinedFrame) -> None:
        """Fuse the next frame, if it is one of the stride."""
        if self._count % self.stride == 0:
            nothing = np.zeros(frame.depth_m.shape, np.bool_)
            self.volume.add(
                frame.depth_m,
                1 - frame.confidence,
                nothing if frame.moving is None else frame.moving,
                frame.image,
                frame.camera,
                frame.T_map_cam,
            )
        self._count += 1

    def write(self, path: Path) -> Mesh:
        """Write the mesh as PLY and return it.

        raises  BagError if it cannot be written
        """
        mesh = extract_mesh(self.volume, least_faces=MESH.min_faces)
        write_mesh_ply(path, mesh)
        return mesh
