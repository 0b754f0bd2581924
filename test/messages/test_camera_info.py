# SPDX-License-Identifier: Apache-2.0
"""CameraInfo: what is accepted, what it means, and that rectification follows the lens models."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from videodepth_ros.bags.types import new_message
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.camera_info import fill_camera_info, intrinsics_from, rectifier_from
from videodepth_ros.messages.lens import Lens

WIDTH, HEIGHT = 320, 240
K = np.array([[200.0, 0, 161.5], [0, 201.0, 118.0], [0, 0, 1]])
LENSES = {
    'plumb_bob': [-0.3, 0.1, 0.001, -0.002, -0.01],
    'rational_polynomial': [-0.3, 0.1, 0.001, -0.002, -0.01, 0.01, 0.005, 0.001],
    'equidistant': [-0.02, 0.004, -0.002, 0.001],
}


def camera_info(D=(), model='plumb_bob', P=None):
    msg = new_message('sensor_msgs/msg/CameraInfo')
    msg.width, msg.height, msg.distortion_model = WIDTH, HEIGHT, model
    msg.d, msg.k, msg.r = np.array(D, float), K.reshape(9).copy(), np.eye(3).reshape(9)
    msg.p = np.column_stack([K if P is None else P, np.zeros(3)]).reshape(12)
    return msg


def test_a_pinhole_camera():
    camera = intrinsics_from(camera_info(np.zeros(5)), WIDTH, HEIGHT)
    assert camera == Intrinsics(WIDTH, HEIGHT, 200.0, 201.0, 161.5, 118.0)
    assert rectifier_from(camera_info(np.zeros(5)), WIDTH, HEIGHT) is None


def test_an_uncalibrated_camera_is_none():
    msg = new_message('sensor_msgs/msg/CameraInfo')
    assert intrinsics_from(msg, WIDTH, HEIGHT) is None
    assert rectifier_from(msg, WIDTH, HEIGHT) is None


def test_the_rectified_camera_is_p_and_k_where_p_is_empty():
    P = np.diag([150.0, 151.0, 1.0])
    P[:2, 2] = 160.0, 120.0
    msg = camera_info(LENSES['plumb_bob'], P=P)
    msg.p[3] = -15.0  # the baseline of a stereo camera
    assert intrinsics_from(msg, WIDTH, HEIGHT).fx == 150.0
    msg.p = np.zeros(12)
    msg.r = np.zeros(9)
    assert intrinsics_from(msg, WIDTH, HEIGHT).fx == 200.0
    assert rectifier_from(msg, WIDTH, HEIGHT).camera.fx == 200.0


def test_upper_case_fields_of_ros_1():
    new = camera_info(LENSES['plumb_bob'])
    old = SimpleNamespace(
        width=new.width,
        height=new.height,
        D=new.d,
        K=new.k,
        R=new.r,
        P=new.p,
        distortion_model='plumb_bob',
        binning_x=0,
        binning_y=0,
        roi=new.roi,
    )
    assert intrinsics_from(old, WIDTH, HEIGHT) == intrinsics_from(new, WIDTH, HEIGHT)


def test_the_wrong_size_is_refused_with_both_sizes():
    with pytest.raises(InputError, match=r'640x480 but camera_info gives 320x240; choose'):
        intrinsics_from(camera_info(), 640, 480)


@pytest.mark.parametrize('size', [(0, HEIGHT), (WIDTH, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(size):
    info = camera_info(LENSES['plumb_bob'])
    info.width, info.height = size
    with pytest.raises(InputError, match=f'{size[0]}x{size[1]} has no pixels'):
        rectifier_from(info, *size)


def test_binning_and_region_of_interest_move_the_principal_point():
    msg = camera_info()
    msg.binning_x = msg.binning_y = 2
    assert intrinsics_from(msg, 160, 120) == Intrinsics(160, 120, 100.0, 100.5, 80.5, 58.75)
    msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height = 20, 40, 200, 100
    assert intrinsics_from(msg, 100, 50) == Intrinsics(100, 50, 100.0, 100.5, 70.5, 38.75)
    msg.binning_x = msg.binning_y = 0
    assert intrinsics_from(msg, 200, 100) == Intrinsics(200, 100, 200.0, 201.0, 141.5, 78.0)


@pytest.mark.parametrize(
    ('model', 'D'),
    [
        ('omni', [0.1]),
        ('thin_prism_fisheye', [0.1] * 8),
        ('plumb_bob', [0.1] * 3),
        ('plumb_bob', [0.1] * 6),
        ('rational_polynomial', [0.1] * 15),
        ('equidistant', [0.1] * 5),
        ('inverse_brown_conrady', [0.1] * 5),
    ],
)
def test_an_unknown_lens_is_refused_by_name(model, D):
    with pytest.raises(InputError, match=rf'\'{model}\' with {len(D)} coefficients.*equidistant'):
        rectifier_from(camera_info(D, model), WIDTH, HEIGHT)
    assert intrinsics_from(camera_info(D, model), WIDTH, HEIGHT).fx == 200.0


ORBBEC = [-0.0306, 0.0352, -0.0001, -0.0001, -0.0120, 0.0, 0.0, 0.0]
T265 = [-0.002, 0.038, -0.036, 0.006, 0.0]


@pytest.mark.parametrize(
    ('model', 'D', 'same_model', 'same_D'),
    [
        ('plumb_bob', ORBBEC, 'plumb_bob', ORBBEC[:5]),
        ('plumb_bob', [*ORBBEC, 0.0], 'plumb_bob', ORBBEC[:5]),
        ('rational_polynomial', [*ORBBEC, *[0.0] * 8], 'plumb_bob', ORBBEC[:5]),
        (
            'plumb_bob',
            [-0.2, 0, 0, 0, 0, 0.1, 0, 0],
            'rational_polynomial',
            [-0.2] + [0] * 4 + [0.1, 0, 0],
        ),
        ('', ORBBEC[:5], 'plumb_bob', ORBBEC[:5]),
        ('radtan', ORBBEC[:4], 'plumb_bob', ORBBEC[:4]),
        ('Brown-Conrady', ORBBEC[:5], 'plumb_bob', ORBBEC[:5]),
        ('equidistant', T265, 'equidistant', T265[:4]),
        ('kannala_brandt4', T265[:4], 'equidistant', T265[:4]),
        ('KannalaBrandt8', T265[:4], 'equidistant', T265[:4]),
        ('fisheye', [-0.02, 0, 0, 0, 0, 0], 'equidistant', [-0.02, 0, 0, 0]),
        ('radtan5', ORBBEC[:5], 'plumb_bob', ORBBEC[:5]),
        ('fisheye4', T265[:4], 'equidistant', T265[:4]),
        ('plumb_bob', [-0.2], 'plumb_bob', [-0.2, 0, 0, 0]),
        ('pinhole', [-0.2, 0.1], 'plumb_bob', [-0.2, 0.1, 0, 0]),
        ('equidistant', [-0.02, 0.01], 'equidistant', [-0.02, 0.01, 0, 0]),
    ],
)
def test_names_and_lengths_of_other_writers_are_the_same_lens(model, D, same_model, same_D):
    maker = rectifier_from(camera_info(D, model), WIDTH, HEIGHT)
    same = rectifier_from(camera_info(same_D, same_model), WIDTH, HEIGHT)
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(maker.rectify(image), same.rectify(image))
    assert (maker.rectify(image) != image).any()


@pytest.mark.parametrize('length', [4, 5, 8, 12, 14])
def test_every_length_of_opencv_is_taken(length):
    D = np.array([-0.2, 0.05, 1e-3, 1e-3, 0.01, 0.02, 0.01, 1e-3, *[1e-3] * 6])[:length]
    assert rectifier_from(camera_info(D, 'rational_polynomial'), WIDTH, HEIGHT) is not None
    assert rectifier_from(camera_info(D, 'plumb_bob'), WIDTH, HEIGHT) is not None


@pytest.mark.parametrize(
    'D',
    [
        [1500.0, -800.0, 0.1, 0.1, 300.0],
        [15.0, -8.0, 0.0, 0.0, 3.0],
        [-6.0, 0.0, 0.0, 0.0, 0.0],  # folds the image
    ],
)
def test_distortion_that_leaves_little_of_the_image_is_refused(D):
    with pytest.raises(InputError, match=r'D is \[.*only \d+% of the image is left'):
        rectifier_from(camera_info(D), WIDTH, HEIGHT)


@pytest.mark.parametrize('balance', [0.0, 1.0])
@pytest.mark.parametrize('model', ['plumb_bob', 'equidistant'])
def test_wide_lenses_are_plausible_at_any_balance(model, balance):
    """Strong lenses, cropped to valid pixels and with all pixels in view."""
    D, size = np.array([-0.35, 0.12, 0.0, 0.0]), (WIDTH, HEIGHT)
    if model == 'equidistant':
        D = np.array([-0.02, 0.004, -0.002, 0.001])
        P = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(
            K, D, size, np.eye(3), balance=balance
        )
    else:
        P = cv2.getOptimalNewCameraMatrix(K, D, size, balance)[0]
    assert rectifier_from(camera_info(D, model, P), WIDTH, HEIGHT) is not None


def test_p_alone_is_the_rectified_camera():
    msg = camera_info()
    msg.k = np.zeros(9)
    msg.r = np.array([0.0, -1, 0, 1, 0, 0, 0, 0, 1])  # KITTI's R_rect beside empty K
    assert intrinsics_from(msg, WIDTH, HEIGHT) == Intrinsics(WIDTH, HEIGHT, 200, 201, 161.5, 118)
    assert rectifier_from(msg, WIDTH, HEIGHT) is None
    msg.d = np.array(LENSES['plumb_bob'])
    with pytest.raises(InputError, match=r'no K.*rectify to never'):
        rectifier_from(msg, WIDTH, HEIGHT)


def test_a_message_without_a_size_is_that_of_the_image():
    msg = camera_info()
    msg.width = msg.height = 0
    assert intrinsics_from(msg, WIDTH, HEIGHT).fx == 200.0
    with pytest.raises(InputError, match='100x80 but camera_info gives 0x0'):
        intrinsics_from(msg, 100, 80)  # the principal point is outside


def test_an_image_of_the_full_size_has_no_region_and_no_bins():
    msg = camera_info()
    msg.binning_x = msg.binning_y = 2
    assert intrinsics_from(msg, WIDTH, HEIGHT).fx == 200.0


@pytest.mark.parametrize('model', ['', 'none', 'omni'])
def test_an_unknown_lens_without_distortion_is_a_pinhole(model):
    assert rectifier_from(camera_info([0.0] * 5, model), WIDTH, HEIGHT) is None


def test_numbers_that_make_no_camera_are_refused():
    msg = camera_info(LENSES['plumb_bob'])
    msg.r = np.arange(9.0)
    assert intrinsics_from(msg, WIDTH, HEIGHT).fx == 200.0
    with pytest.raises(InputError, match='no rotation'):
        rectifier_from(msg, WIDTH, HEIGHT)
    msg = camera_info()
    msg.p[5] = -1.0
    with pytest.raises(InputError, match=r'fy=-1\.0'):
        intrinsics_from(msg, WIDTH, HEIGHT)


@pytest.mark.parametrize('scale', [2.0, 0.5])
def test_a_camera_matrix_is_known_up_to_its_scale(scale):
    msg, expected = camera_info(), intrinsics_from(camera_info(), WIDTH, HEIGHT)
    msg.p *= scale
    assert intrinsics_from(msg, WIDTH, HEIGHT) == expected
    msg.p[:] = 0.0
    msg.k *= scale
    assert intrinsics_from(msg, WIDTH, HEIGHT) == expected


@pytest.mark.parametrize('unit_px', [100.0, WIDTH])
def test_a_camera_matrix_that_is_not_in_pixels_is_refused(unit_px):
    msg = camera_info()
    msg.k[:6] /= unit_px
    with pytest.raises(InputError, match=r'K has a focal length of .* 320 columns; .* in pixels'):
        intrinsics_from(msg, WIDTH, HEIGHT)


def test_a_camera_matrix_stored_by_columns_is_refused():
    msg = camera_info()
    msg.k[:] = K.T.reshape(9)
    with pytest.raises(InputError, match='row by row'):
        intrinsics_from(msg, WIDTH, HEIGHT)


@pytest.mark.parametrize('field', ['k', 'p', 'd', 'r'])
def test_numbers_that_are_not_finite_are_refused(field):
    msg = camera_info(LENSES['plumb_bob'])
    getattr(msg, field)[0] = np.nan
    with pytest.raises(InputError, match=f'camera_info {field.upper()} is .*nan'):
        rectifier_from(msg, WIDTH, HEIGHT)


def distorted_pixels(model, D, rays):
    """Project rays (N, 3) by the formulas of OpenCV's camera models, written out."""
    x, y = (rays[:, :2] / rays[:, 2:]).T
    r2 = x * x + y * y
    if model == 'equidistant':
        r = np.sqrt(r2)
        theta = np.arctan(r)
        bent = theta * (1 + sum(k * theta ** (2 * n + 2) for n, k in enumerate(D)))
        scale = np.where(r > 0, bent / np.maximum(r, 1e-12), 1.0)
        x, y = x * scale, y * scale
    else:
        k1, k2, p1, p2, k3, k4, k5, k6 = [*D, 0, 0, 0][:8]
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    return np.column_stack([K[0, 0] * x + K[0, 2], K[1, 1] * y + K[1, 2]])


@pytest.mark.parametrize('model', LENSES)
def test_a_point_seen_through_the_lens_lands_where_the_pinhole_sees_it(model):
    rays = np.array([[0.0, 0, 1], [0.3, 0.2, 1], [-0.4, 0.3, 1], [0.5, -0.35, 1]])
    raw = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    for column, row in distorted_pixels(model, LENSES[model], rays):
        raw += np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / 8)[..., None]
    rectifier = rectifier_from(camera_info(LENSES[model], model), WIDTH, HEIGHT)
    seen = rectifier.rectify((255 * raw).astype(np.uint8))[..., 0].astype(float)
    for ray in rays:
        column, row = (K @ ray)[:2]
        near = np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / 50) * seen
        found = (near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()
        assert np.hypot(found[0] - column, found[1] - row) < 0.5


def test_an_image_that_opencv_cannot_rectify_is_refused():
    msg = camera_info(LENSES['plumb_bob'])
    msg.width, msg.k[0], msg.p[0] = 32767, 20_000.0, 20_000.0
    with pytest.raises(InputError, match=f'32767x{HEIGHT} cannot be rectified'):
        rectifier_from(msg, 32767, HEIGHT)


def test_the_maps_of_one_calibration_are_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(
        Lens, 'maps', lambda *given, make=Lens.maps: made.append(1) or make(*given)
    )
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for _ in range(2):
        rectifier_from(camera_info([-0.31, 0.11]), WIDTH, HEIGHT).rectify(image)
    assert len(made) == 2  # a coarse one for the check of the lens


@pytest.mark.parametrize('model', LENSES)
@pytest.mark.parametrize('halvings', [1, 2])
def test_a_smaller_view_is_the_whole_one_made_smaller(model, halvings):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    rectifier = rectifier_from(camera_info(LENSES[model], model), WIDTH, HEIGHT)
    size = WIDTH >> halvings, HEIGHT >> halvings
    view = rectifier.rectify(image, halvings).astype(int)
    whole = cv2.resize(rectifier.rectify(image), size, interpolation=cv2.INTER_AREA)
    difference = np.abs(view - whole)[8:-8, 8:-8]
    assert difference.mean() < 1
    assert difference.max() <= 8


def test_rectification_of_a_region_is_the_region_of_the_rectification():
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 4)
    whole = rectifier_from(camera_info(LENSES['plumb_bob']), WIDTH, HEIGHT).rectify(image)
    msg = camera_info(LENSES['plumb_bob'])
    msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height = 60, 50, 200, 140
    part = rectifier_from(msg, 200, 140).rectify(image[50:190, 60:260])
    inner = (slice(20, -20),) * 2
    assert np.abs(part[inner].astype(int) - whole[50:190, 60:260][inner]).max() <= 2


@pytest.mark.parametrize('library', ['rosbags', 'rclpy'])
def test_filling_in_place_and_reading_again(library):
    if library == 'rosbags':
        msg = new_message('sensor_msgs/msg/CameraInfo')
    else:
        msg = pytest.importorskip('sensor_msgs.msg', reason='ROS is not installed').CameraInfo()
    msg.binning_x, msg.roi.width = 2, 7
    camera = Intrinsics(64, 48, 50.0, 51.0, 31.5, 23.25)
    fill_camera_info(msg, camera)
    assert intrinsics_from(msg, 64, 48) == camera
    assert rectifier_from(msg, 64, 48) is None
    assert list(msg.d) == [0.0] * 5
    np.testing.assert_array_equal(np.reshape(msg.p, (3, 4))[:, :3], np.reshape(msg.k, (3, 3)))
