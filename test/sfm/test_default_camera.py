# SPDX-License-Identifier: Apache-2.0
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR
from videodepth_ros.sfm.sparse import default_camera


def test_an_assumed_camera_has_its_principal_point_in_the_middle_of_the_pixels():
    camera = default_camera(640, 480)
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert camera.fx == camera.fy == DEFAULT_FOCAL_LENGTH_FACTOR * 640
    half = camera.scaled_to(320, 240)
    assert (half.cx, half.cy) == (159.5, 119.5)
