# SPDX-License-Identifier: Apache-2.0
import numpy as np

from videodepth_ros.geometry.depth_edges import beside_edges


def test_a_jump_is_marked_on_both_sides_and_a_flying_pixel_with_it():
    depth_m = np.full((7, 9), 2.0, np.float32)
    depth_m[:, 5:] = 4.0
    depth_m[:, 4] = 3.0  # a mean of both
    found = beside_edges(depth_m)
    assert found[:, 3:6].all()
    assert not found[:, :3].any()
    assert not found[:, 6:].any()


def test_a_slanted_floor_is_one_surface():
    rows = np.arange(40, 240, dtype=np.float32)[:, None]
    assert not beside_edges(np.repeat(600 * 1.5 / rows, 20, axis=1)).any()


def test_unknown_depth_is_no_surface_and_the_sky_is_one():
    depth_m = np.full((5, 9), 2.0, np.float32)
    depth_m[:, 2], depth_m[:, 8] = np.nan, np.inf
    found = beside_edges(depth_m)
    assert not found[:, :7].any()
    assert found[:, 7:].all()
