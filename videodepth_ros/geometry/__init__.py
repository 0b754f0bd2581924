# SPDX-License-Identifier: Apache-2.0
"""Pinhole cameras, SO(3), SE(3) and Sim(3), trajectories and solvers: functions on arrays.

Frames are named in transforms: T_map_cam maps points of the camera to the map.

>>> import numpy as np
>>> from videodepth_ros.geometry import Intrinsics, backproject, project, umeyama_alignment
>>> camera = Intrinsics.centred(width=4, height=3, focal_px=2.0)
>>> points = backproject(np.full((3, 4), 2, np.float32), camera)  # (3, 4, 3), metres
>>> project(points, camera)[2, 3].tolist()  # column and row of that pixel
[3.0, 2.0]
>>> source = points.reshape(-1, 3).T  # one column a point
>>> similarity = umeyama_alignment(source, 3 * source + 1)
>>> round(float(similarity.scale), 3), similarity.translation.round(3).tolist()
(3.0, [1.0, 1.0, 1.0])
"""

from videodepth_ros.geometry.camera import Intrinsics, backproject, project
from videodepth_ros.geometry.pose import interpolate_poses, invert_poses
from videodepth_ros.geometry.rotation import (
    hat,
    quaternion_from_rotation,
    rotation_angle,
    rotation_from_quaternion,
    so3_exp,
    so3_log,
)
from videodepth_ros.geometry.sim3 import Sim3, umeyama_alignment
from videodepth_ros.geometry.trajectory import Trajectory, associate_stamps

__all__ = [
    'Intrinsics',
    'Sim3',
    'Trajectory',
    'associate_stamps',
    'backproject',
    'hat',
    'interpolate_poses',
    'invert_poses',
    'project',
    'quaternion_from_rotation',
    'rotation_angle',
    'rotation_from_quaternion',
    'so3_exp',
    'so3_log',
    'umeyama_alignment',
]
