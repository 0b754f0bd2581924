import numpy as np
import pytest

from test.mvs.textured_scene import CAMERA, pose, render, smear
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import make_view

OPTIONS = StereoOptions(parallax_px=8.0, least_parallax_px=1.0)


@pytest.fixture(scope='session')
def options():
    return OPTIONS


@pytest.fixture(scope='session')
def sequence():
    """Seven views of a camera that moves sideways; brightness changes from frame to frame."""
    views, images, truths = [], [], []
    for k in range(7):
        T = pose(0.06 * (k - 3), 0.02 * np.sin(k), 0.0, 0.01 * (k - 3))
        image, depth_m = render(T, gain=0.8 + 0.05 * (k % 4))
        views.append(make_view(image, CAMERA, T, smear(depth_m), OPTIONS))
        images.append(image)
        truths.append(depth_m)
    return views, images, truths
