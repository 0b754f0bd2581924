from dataclasses import replace

import numpy as np
import pytest

from test.mvs.textured_scene import CAMERA, nodded, pose, render, smear
from videodepth_ros.core.errors import InputError
from videodepth_ros.mvs.depth import estimate_depth, finish_view, plan_stereo
from videodepth_ros.mvs.matching import match_view
from videodepth_ros.mvs.views import make_view, outline

pytestmark = pytest.mark.slow


def error_of(depth_m, truth_m):
    return np.abs(depth_m / truth_m - 1)


def plan_of(views, options, period_s=0.1):
    stamp_ns = np.arange(len(views)) * int(period_s * 1e9)
    return plan_stereo([outline(view) for view in views], stamp_ns, options)


@pytest.fixture(scope='module')
def depths(sequence, options):
    views, images, _ = sequence
    plan = plan_of(views, options)
    return estimate_depth(views, images, plan, options)


def test_depth_is_far_better_than_its_prior(sequence, depths):
    views, _, truths = sequence
    before = np.mean(
        [error_of(1 / view.prior_per_m, truth) for view, truth in zip(views, truths, strict=True)]
    )
    after = np.mean(
        [error_of(each.depth_m, truth) for each, truth in zip(depths, truths, strict=True)]
    )
    assert before > 0.06
    assert after < 0.25 * before


def test_sure_pixels_are_right(sequence, depths):
    truth = sequence[2][3]
    sure = depths[3].certainty > 0.8
    assert sure.mean() > 0.5
    assert np.mean(error_of(depths[3].depth_m, truth)[sure] < 0.03) > 0.95


def test_stated_error_is_kept(sequence, depths):
    _, _, truths = sequence
    error = np.stack([error_of(d.depth_m, t) for d, t in zip(depths, truths, strict=True)])
    stated = np.stack([each.relative_error for each in depths])
    good = stated <= 0.02
    assert good.mean() > 0.4
    assert np.mean(error[good] < 0.04) > 0.95
    assert error[stated > 0.05].mean() > 3 * error[good].mean()


def test_box_has_a_sharp_edge(sequence, depths):
    _, _, truths = sequence
    row = slice(40, 60)
    wide = np.abs(np.diff(np.log(truths[3][row]), axis=1)).max(axis=1)
    found = np.abs(np.diff(np.log(depths[3].depth_m[row]), axis=1)).max(axis=1)
    assert np.median(found / wide) > 0.7


def test_same_bytes_again(sequence, options, depths):
    views, images, _ = sequence
    plan = plan_of(views, options)
    again = estimate_depth(views, images, plan, options)
    for one, other in zip(depths, again, strict=True):
        assert one.depth_m.tobytes() == other.depth_m.tobytes()


def test_match_finds_subpixel_depth(sequence, options):
    views, _, truths = sequence
    match = match_view(views[3], [views[j] for j in (0, 1, 5, 6)], options)
    sure = match.weight > 0.8
    assert np.median(error_of(1 / match.per_m, truths[3])[sure]) < 0.01


@pytest.mark.parametrize('yaw_step', [0.0, 0.02])
def test_camera_without_baseline_has_no_stereo(options, yaw_step):
    views = []
    for k in range(4):
        T = pose(0.0, yaw=yaw_step * k)
        image, depth_m = render(T)
        views.append(make_view(image, CAMERA, T, smear(depth_m), options))
    plan = plan_of(views, options)
    assert 'stands or only turns' in plan.reason
    with pytest.raises(InputError, match='keep the prior'):
        estimate_depth(views, [view.rgb for view in views], plan, options)


def test_one_frame_has_no_stereo(sequence, options):
    plan = plan_of(sequence[0][:1], options)
    assert plan.reason == 'stereo needs two frames'


def test_views_between_matched_ones_have_depth_too(sequence, options):
    views, images, truths = sequence
    skipping = replace(options, same_view_px=6.0, most_skipped=1)
    plan = plan_of(views, skipping)
    assert sum(not chosen for chosen in plan.neighbours) == 3
    depths = estimate_depth(views, images, plan, skipping)
    assert np.median(error_of(depths[3].depth_m, truths[3])) < 0.01


def test_sky_stays_at_infinity(sequence, options):
    views, images, _ = sequence
    dark = np.zeros_like(views[3].sky)
    dark[:20] = True
    nothing = replace(views[3], sky=dark)
    depth = finish_view(nothing, None, [], [], images[3], options)
    assert np.isposinf(depth.depth_m[:18]).all()
    assert np.isfinite(depth.depth_m[22:]).all()


def test_view_without_agreement_keeps_its_prior(sequence, options):
    views, images, _ = sequence
    depth = finish_view(views[3], None, [], [], images[3], options)
    assert np.median(error_of(depth.depth_m, 1 / views[3].prior_per_m)) < 0.01
    assert not depth.certainty.any()


def test_view_without_agreement_takes_its_fallback(sequence, options):
    views, images, _ = sequence
    other = replace(views[3], fallback_per_m=0.5 * views[3].prior_per_m)
    depth = finish_view(other, None, [], [], images[3], options)
    assert np.median(error_of(depth.depth_m, 2 / views[3].prior_per_m)) < 0.01


def test_depth_camera_counts_as_a_view(sequence, options):
    views, images, truths = sequence
    random = np.random.default_rng(0)
    measured = []
    for view, truth in zip(views, truths, strict=True):
        noisy = truth * random.normal(1, 0.03, truth.shape)
        noisy[random.uniform(size=truth.shape) < 0.2] = np.nan
        image = images[len(measured)]
        measured.append(
            make_view(image, CAMERA, view.T_map_cam, noisy.astype(np.float32), options)
        )
    fused = replace(options, prior_weight=2.0)
    depths = estimate_depth(measured, images, plan_of(measured, fused), fused)
    assert np.mean(error_of(depths[3].depth_m, truths[3])) < 0.3 * 0.03


def test_views_agree_where_poses_are_right(depths):
    assert all(each.trust == 1 for each in depths)


def test_wrong_poses_leave_the_prior(sequence, options):
    views, images, _ = sequence
    pitch = np.random.default_rng(0).normal(0, 0.15, len(views))
    wrong = [
        replace(view, T_map_cam=nodded(view.T_map_cam, one))
        for view, one in zip(views, pitch, strict=True)
    ]
    depths = estimate_depth(wrong, images, plan_of(wrong, options), options)
    for view, found in zip(views[1:-1], depths[1:-1], strict=True):
        assert found.trust < 0.5
        assert np.mean(error_of(found.depth_m, 1 / view.prior_per_m)) < 0.1
        assert found.certainty.max() <= found.trust
