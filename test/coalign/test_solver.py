# SPDX-License-Identifier: Apache-2.0
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.support.film_clip import (
    GOLDENS,
    golden,
    golden_snippets,
    make_snippets,
    misfit,
    moving_clip,
)
from videodepth_ros.coalign.objective import Objective
from videodepth_ros.coalign.options import AdamOptions, CoalignOptions, ObjectiveWeights
from videodepth_ros.coalign.reference import minimize_adam
from videodepth_ros.coalign.samples import Snippets, sample_snippets
from videodepth_ros.coalign.solver import (
    SnippetNormalEquations,
    align_snippets,
    merge_snippets,
    minimize_newton,
)
from videodepth_ros.core.errors import ConfigError, InputError

DENSE = CoalignOptions(stride_px=3)

# Goldens: name, dilations where the file has none, stride in pixels, Adam's steps, their size
CASES = [
    ('coalign_A_default.npz', None, 10, 2000, 1e-3),
    ('coalign_B_factor2_uncapped.npz', None, 2, 2000, 1e-3),
    ('coalign_C_short.npz', None, 4, 300, 1e-3),
    ('coalign_D_noiseless_lr.npz', None, 2, 2000, 5e-3),
    ('e2e_n8_64_fast.npz', (1, 1), 10, 2000, 1e-3),
    ('e2e_n8_64_refine4.npz', (1, 2), 10, 2000, 1e-3),
    ('e2e_n9_60x90_odd_fast.npz', (1, 3), 10, 2000, 1e-3),
    ('e2e_n10_64_snip2_steps2.npz', (1, 3), 10, 2000, 1e-3),
    ('e2e_n12_64x96_full.npz', (1, 3, 3), 10, 2000, 1e-3),
]
MADE = [case for case in CASES if case[0].startswith('coalign') and 'D_' not in case[0]]


def merged(snippets, how=DENSE) -> tuple[np.ndarray, list[int]]:
    """Return the merged clip and which snippets of the first kind are not usable."""
    alignment = align_snippets(snippets, how)
    broken = np.flatnonzero(~alignment.usable[0]).tolist()
    return np.stack(list(merge_snippets(snippets, alignment))), broken


def samples(snippets, stride_px, max_samples=10**9):
    return sample_snippets(snippets, CoalignOptions(stride_px=stride_px, max_samples=max_samples))


def objective_of(snippets, stride_px=3, weights=None) -> Objective:
    return Objective(samples(snippets, stride_px), weights or ObjectiveWeights())


def test_scales_are_found_up_to_one_for_the_clip():
    clip = moving_clip()
    clip -= clip.min()  # the least value of all is subtracted: from 0, scales alone are the truth
    random = np.random.default_rng(1)
    snippets, truth = make_snippets(clip, noise=0, spread=0), []
    for kind in snippets:
        truth.append(random.uniform(0.5, 2, len(kind.frames)))
        kind.relative_depth[...] *= truth[-1][:, None, None, None]
    found = align_snippets(snippets, DENSE)
    whole = np.concatenate(found.scales) * np.concatenate(truth)
    np.testing.assert_allclose(whole / np.median(whole), 1, atol=1e-3)
    assert misfit(np.stack(list(merge_snippets(snippets, found))), clip) < 1e-4


def test_aligned_snippets_agree_better_than_raw_ones():
    clip = moving_clip()
    snippets = make_snippets(clip)
    raw = np.zeros_like(clip)
    count = np.zeros((len(clip), 1, 1))
    for kind in snippets:
        np.add.at(raw, kind.frames, kind.relative_depth)
        np.add.at(count, kind.frames, 1)
    assert misfit(merged(snippets)[0], clip) < 0.1 * misfit(raw / count, clip)


def test_shifts_are_found_with_a_low_penalty():
    clip = moving_clip()
    snippets = make_snippets(clip)
    for kind in snippets:
        shift = np.random.default_rng(2).normal(0, 0.2, (len(kind.frames), 1, 1, 1))
        kind.relative_depth[...] += shift.astype(np.float32)
    free = CoalignOptions(stride_px=3, weights=ObjectiveWeights(shift=0.01))
    assert misfit(merged(snippets, free)[0], clip) < 2e-3


def test_unknown_pixels_and_outliers_change_nothing():
    clip = moving_clip()
    snippets = make_snippets(clip)
    best = misfit(merged(snippets)[0], clip)
    random = np.random.default_rng(3)
    for kind in snippets:
        maps = kind.relative_depth
        for value, share in (
            (np.nan, 0.2),
            (np.inf, 0.01),
            (-np.inf, 0.01),
            (1e6, 0.005),
            (-1e4, 0.005),
        ):
            maps[random.random(maps.shape) < share] = value
    result, broken = merged(snippets)
    assert not broken
    assert misfit(result, clip) < 1.5 * best
    assert np.isfinite(result).mean() > 0.99


@pytest.mark.parametrize('kind', ['empty', 'flat', 'zero', 'noise', 'inverted'])
def test_an_inconsistent_snippet_is_rejected(kind):
    clip = moving_clip()
    snippets = make_snippets(clip)
    best = misfit(merged(snippets)[0], clip)
    maps = snippets[0].relative_depth
    maps[7] = {
        'empty': np.nan,
        'flat': 0.4,
        'zero': 0,
        'inverted': 1.2 - maps[7],
        'noise': np.random.default_rng(4).random(maps[7].shape),
    }[kind]
    result, broken = merged(snippets)
    assert broken == [7]
    assert misfit(result, clip) < 1.5 * best


def test_consistent_snippets_stay_unchanged():
    snippets = make_snippets(moving_clip(), noise=0, spread=0)
    found = align_snippets(snippets, DENSE)
    np.testing.assert_allclose(np.concatenate(found.scales), 1, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(found.shifts), 0, atol=1e-6)


def test_flat_and_single_snippets_do_not_fail():
    flat = [
        Snippets(kind.frames, np.full(kind.relative_depth.shape, 0.3))
        for kind in make_snippets(moving_clip())
    ]
    assert len(merged(flat)[1]) == len(flat[0].frames)
    one = make_snippets(moving_clip(3))
    assert np.isfinite(merged(one)[0]).all()
    assert align_snippets(one, DENSE).objective == 0


def test_snippets_may_have_different_lengths_and_come_in_any_order():
    clip = moving_clip()
    long = np.stack([np.arange(start, start + 8) for start in (16, 0, 8, 4, 12)])
    kinds = [
        Snippets(long, clip[long] * np.float32([1, 2, 0.7, 1.3, 0.5])[:, None, None, None]),
        *make_snippets(clip),
    ]
    assert misfit(merged(kinds)[0], clip) < 3e-3


@pytest.mark.parametrize(
    'frames, shape',
    [
        ([[0, 1]], (1, 3, 4, 4)),
        ([[0, 1]], (1, 2, 4)),
        ([[0, 0]], (1, 2, 4, 4)),
        ([[-1, 0]], (1, 2, 4, 4)),
    ],
)
def test_mismatched_frames_and_depth_maps_are_rejected(frames, shape):
    with pytest.raises(InputError):
        Snippets(np.array(frames), np.zeros(shape))


def test_nothing_to_align_is_rejected():
    with pytest.raises(InputError, match='one image size'):
        align_snippets([])
    with pytest.raises(InputError, match='finite'):
        align_snippets([Snippets(np.array([[0, 1]]), np.full((1, 2, 4, 4), np.nan))])
    sizes = [Snippets(np.array([[0, 1]]), np.zeros((1, 2, 4, side))) for side in (4, 5)]
    with pytest.raises(InputError, match='one image size'):
        align_snippets(sizes)


@pytest.mark.parametrize(
    'wrong', [{'stride_px': 0}, {'border_px': -1}, {'max_samples': 0}, {'solver': 'sgd'}]
)
def test_impossible_options_are_rejected(wrong):
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values())))):
        CoalignOptions(**wrong)


def test_the_stride_grows_so_that_samples_stay_few():
    snippets = make_snippets(moving_clip())
    assert samples(snippets, 1).values.shape[2] == 20 * 28
    few = samples(snippets, 1, 20_000)
    assert 10_000 < few.values.size <= 20_000


class Stack:
    """Depth maps that are computed on access, and so never all in memory."""

    def __init__(self, clip, frames):
        self.clip, self.frames = clip, frames
        self.shape = (*frames.shape, *clip.shape[1:])

    def __getitem__(self, index):
        return self.clip[self.frames[index]]


def test_memory_does_not_grow_with_the_snippets():
    clip = np.tile(moving_clip(60), (1, 12, 12))
    snippets = [
        Snippets(kind.frames, Stack(clip, kind.frames)) for kind in make_snippets(moving_clip(60))
    ]
    whole = sum(4 * np.prod(kind.relative_depth.shape) for kind in snippets)
    tracemalloc.start()
    try:
        for _ in merge_snippets(snippets, align_snippets(snippets)):
            pass
        assert tracemalloc.get_traced_memory()[1] < whole / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    'weights', [ObjectiveWeights(), ObjectiveWeights(reciprocal=0), ObjectiveWeights(shift=1)]
)
def test_the_gradient_is_that_of_the_value(weights):
    snippets = make_snippets(moving_clip(8), dilations=(1, 2))
    snippets[0].relative_depth[1, :, 5:9] = np.nan
    objective = objective_of(snippets, weights=weights)
    random = np.random.default_rng(5)
    point = objective.initial_point + 0.1 * random.standard_normal(objective.initial_point.shape)
    along = random.standard_normal(point.shape)
    step = 1e-4
    slope = (objective.value(point + step * along) - objective.value(point - step * along)) / (
        2 * step
    )
    model = objective.quadratic_model(point, 0.1)
    assert model.value == pytest.approx(objective.value(point), rel=1e-6)
    # Values are float32 and have kinks.
    assert (model.gradient * along).sum() == pytest.approx(slope, rel=2e-2)


def test_the_step_solves_the_dense_equations():
    objective = objective_of(make_snippets(moving_clip(12)))
    snippet = objective.samples.snippet
    model = objective.quadratic_model(objective.initial_point * 1.1, 0.1)
    count = len(objective.initial_point)
    dense = np.diag(model.diagonal.T.ravel())
    for frame, shown in enumerate(snippet):
        unknown = np.concatenate([shown, shown + count])
        np.add.at(dense, (unknown[:, None], unknown), model.frames[frame])
    assert np.linalg.eigvalsh(dense).min() > -1e-6 * np.linalg.eigvalsh(dense).max()
    dense += 0.1 * np.diag(np.diag(dense))
    exact = np.linalg.solve(dense, model.gradient.T.ravel()).reshape(2, -1).T
    step = SnippetNormalEquations(model, snippet, 0.1).solve()
    assert np.linalg.norm(step - exact) < 0.05 * np.linalg.norm(exact)


def test_newton_ends_below_the_reference_on_the_same_samples():
    snippets = make_snippets(moving_clip(12), dilations=(1, 3))
    objective = objective_of(snippets)
    reached = minimize_adam(objective.samples, ObjectiveWeights())
    assert reached.objective[0] == pytest.approx(
        objective.value(objective.initial_point), rel=1e-6
    )
    found = align_snippets(snippets, DENSE)
    assert found.objective <= reached.objective.min()


def golden_or_skip(name, dilations):
    if not (GOLDENS / name).is_file():
        pytest.skip(f'{name} is not among the goldens here')
    return golden_snippets(name, dilations)


def video(snippets, point) -> np.ndarray:
    """Merge with given scales and shifts."""
    least = min(kind.relative_depth.min() for kind in snippets)
    total, count, before = 0.0, 0.0, 0
    for kind in snippets:
        own = point[before : before + len(kind.frames), :, None, None, None]
        aligned = own[:, 0] * (kind.relative_depth - least) + own[:, 1]
        size = (1 + max(int(k.frames.max()) for k in snippets), *aligned.shape[2:])
        total, count = total + np.zeros(size), count + np.zeros(size[0])
        np.add.at(total, kind.frames, aligned)
        np.add.at(count, kind.frames, 1)
        before += len(kind.frames)
    return total / count[:, None, None]


def unit(depth: np.ndarray) -> np.ndarray:
    return 2 * (depth - depth.min()) / (depth.max() - depth.min()) - 1


@golden
@pytest.mark.parametrize('name, dilations, stride_px, steps, size', MADE)
def test_the_reference_equals_the_release(name, dilations, stride_px, steps, size):
    case, snippets, point = golden_or_skip(name, dilations)
    reached = minimize_adam(
        samples(snippets, stride_px), ObjectiveWeights(), AdamOptions(steps, size)
    )
    np.testing.assert_allclose(reached.objective[:51], case['loss'][:51, 0], rtol=1e-5)
    # It ends in a cycle about as wide as a step: tolerances of the goldens' README.
    np.testing.assert_allclose(reached.point, point, atol=6e-3)
    ours, official = video(snippets, reached.point), video(snippets, point)
    np.testing.assert_allclose(ours, official, atol=5e-3)
    np.testing.assert_allclose(unit(ours), unit(official), atol=5e-3)


@golden
@pytest.mark.parametrize('name, dilations, stride_px, steps, size', CASES)
def test_the_objective_ends_below_that_of_the_release(name, dilations, stride_px, steps, size):
    case, snippets, point = golden_or_skip(name, dilations)
    found = align_snippets(snippets, CoalignOptions(stride_px=stride_px))
    official = objective_of(snippets, stride_px).value(point)
    assert all(usable.all() for usable in found.usable)
    assert found.objective <= min(official, case['loss'][:, 0].min())


@golden
@pytest.mark.parametrize(
    'name, stride_px',
    [
        ('coalign_A_default.npz', 10),
        ('coalign_B_factor2_uncapped.npz', 2),
        ('coalign_C_short.npz', 4),
    ],
)
def test_the_clip_is_nearer_to_the_truth_than_that_of_the_release(name, stride_px):
    case, snippets, point = golden_or_skip(name, None)
    clean = case['clean'].astype(np.float64)
    ours = merged(snippets, CoalignOptions(stride_px=stride_px))[0]
    assert misfit(ours, clean) <= misfit(video(snippets, point), clean)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=25)
def test_the_objective_never_rises_and_scales_are_finite(seed, share):
    snippets = make_snippets(moving_clip(9, 10, 12), dilations=(1, 2), noise=0.1, seed=seed)
    random = np.random.default_rng(seed)
    for kind in snippets:
        kind.relative_depth[random.random(kind.relative_depth.shape) < share] = np.nan
        kind.relative_depth[random.random(len(kind.frames)) < share / 4] = np.inf
    snippets[0].relative_depth[0, 0, 2, 2] = 0.5
    objective = objective_of(snippets, 2)
    point, value, _ = minimize_newton(objective, objective.initial_point)
    assert np.isfinite(point).all()
    assert value <= objective.value(objective.initial_point)
