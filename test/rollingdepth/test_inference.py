# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from test.support.film_clip import (
    GOLDENS,
    golden,
    golden_snippets,
    make_snippets,
    misfit,
    moving_clip,
)
from videodepth_ros.coalign.options import CoalignOptions
from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.coalign.solver import SnippetAlignment, align_snippets, merge_snippets
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.rollingdepth.inference import rolling_depth, to_unit_range
from videodepth_ros.rollingdepth.snippets import (
    plan_refinement,
    plan_snippets,
    predict_snippets,
    refine_latents,
    refinement_step,
)


def alignment(snippets: list[Snippets], scale=1.0, shift=0.0, usable=True) -> SnippetAlignment:
    counts = [len(kind.frames) for kind in snippets]
    return SnippetAlignment(
        tuple(np.full(n, scale) for n in counts),
        tuple(np.full(n, shift) for n in counts),
        tuple(np.full(n, usable) for n in counts),
        0.0,
        -10.0,
        10.0,
        0.0,
        0,
    )


def test_a_frame_is_the_mean_of_its_aligned_pictures():
    pictures = np.arange(4.0)[:, None, None, None] * np.ones((4, 2, 2, 3))
    snippets = [Snippets(np.array([[0, 1], [1, 2], [2, 3], [3, 4]]), pictures)]
    frames = list(merge_snippets(snippets, alignment(snippets, scale=2, shift=0.5)))
    assert [frame[1, 2] for frame in frames] == [0.5, 1.5, 3.5, 5.5, 6.5]
    assert frames[0].dtype == np.float32


def test_unknown_and_wild_values_are_left_out_of_the_mean_and_stay_unknown_alone():
    pictures = np.ones((2, 2, 2, 2))
    pictures[0, 1, 0, 0], pictures[0, 1, 0, 1], pictures[0, 0, 1, 1] = np.nan, 1e6, np.inf
    snippets = [Snippets(np.array([[0, 1], [1, 2]]), pictures)]
    first, second, _ = merge_snippets(snippets, alignment(snippets))
    assert np.isnan(first[1, 1])
    assert np.isfinite(first).sum() == 3
    assert (second == 1).all()


def test_a_broken_snippet_is_merged_only_where_there_is_no_other():
    snippets = [
        Snippets(
            np.array([[0, 1], [1, 2]]), np.stack([np.ones((2, 2, 2)), np.full((2, 2, 2), 5.0)])
        )
    ]
    broken = alignment(snippets)
    broken.usable[0][1] = False
    assert [frame[0, 0] for frame in merge_snippets(snippets, broken)] == [1, 1, 5]


def test_frames_that_no_snippet_shows_are_unknown():
    snippets = [Snippets(np.array([[0, 2]]), np.ones((1, 2, 2, 2)))]
    assert [np.isnan(frame).all() for frame in merge_snippets(snippets, alignment(snippets))] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize('frame_count', [1, 2, 5, 24])
def test_rolling_depth_recovers_a_clip_up_to_one_scale_and_shift(tmp_path, frame_count):
    clip = moving_clip(frame_count)
    random = np.random.default_rng(3)

    def predict(frames):
        return random.uniform(0.7, 1.4) * clip[frames]

    merged = np.stack(list(rolling_depth(plan_snippets(frame_count), predict, tmp_path)))
    assert merged.shape == clip.shape
    assert misfit(merged, clip) < 2e-3


def test_pictures_are_kept_in_files_where_a_folder_is_given(tmp_path):
    clip = moving_clip(12)
    snippets = predict_snippets(plan_snippets(12), lambda frames: clip[frames], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ['0.npy', '1.npy']
    assert all(isinstance(kind.relative_depth, np.memmap) for kind in snippets)
    assert np.array_equal(snippets[1].relative_depth, clip[snippets[1].frames])


def test_the_unit_range_is_that_of_the_whole_clip_and_unknown_stays():
    clip = np.float32([[[2, np.nan]], [[4, 3]]])
    np.testing.assert_array_equal(to_unit_range(clip), [[[-1, np.nan]], [[1, 0]]])
    assert (to_unit_range(np.full((2, 1, 1), 0.3, np.float32)) == -1).all()


def test_refinement_averages_what_windows_say_of_the_latents_before_the_step():
    seen = []

    def denoise(latents, frames, step):
        seen.extend(
            (step, *each) for each in zip(frames.tolist(), latents[..., 0].tolist(), strict=True)
        )
        return latents + np.float32([[10], [20], [30]])

    plan = plan_refinement(1, 1)
    refined = refine_latents(np.zeros((4, 1), np.float32), plan, 3, denoise)
    assert refined.ravel().tolist() == [10, 15, 25, 30]
    assert seen == [(1, [0, 1, 2], [0, 0, 0]), (1, [1, 2, 3], [0, 0, 0])]


@pytest.mark.parametrize('at_once', [2, 3, 100])
def test_windows_that_are_denoised_together_give_what_each_gives_alone(at_once):
    latents = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)

    def denoise(latents, frames, step):
        return latents * latents.mean(axis=1, keepdims=True) + np.float32(step)

    alone, together = (list(refinement_step(latents, 3, 7, 3, denoise, n)) for n in (1, at_once))
    np.testing.assert_array_equal(alone, together)


def test_refinement_refuses_a_dilation_that_leaves_frames_out():
    with pytest.raises(ConfigError, match='dilation of 3 or less'):
        refine_latents(
            np.zeros((9, 1), np.float32),
            plan_refinement(4, 4),
            3,
            lambda latents, frames, step: latents,
        )


def test_a_clip_shorter_than_a_snippet_is_refined_whole():
    refined = refine_latents(
        np.ones((2, 1), np.float32),
        plan_refinement(2, 1),
        3,
        lambda latents, frames, step: latents / 2,
    )
    assert refined.ravel().tolist() == [0.25, 0.25]


@golden
@pytest.mark.parametrize(
    'name, dilations', [('e2e_n8_64_fast.npz', (1, 1)), ('e2e_n12_64x96_full.npz', (1, 3, 3))]
)
def test_merging_with_the_official_scales_equals_the_release(name, dilations):
    case, snippets, point = golden_snippets(name, dilations)
    parts = np.split(point, np.cumsum([len(kind.frames) for kind in snippets])[:-1])
    found = align_snippets(snippets)
    official = SnippetAlignment(
        tuple(part[:, 0] for part in parts),
        tuple(part[:, 1] for part in parts),
        found.usable,
        found.offset,
        found.min_valid,
        found.max_valid,
        0.0,
        0,
    )
    merged = np.stack(list(merge_snippets(snippets, official)))
    # Sums of nine float32 values below 2 in another order.
    np.testing.assert_allclose(merged, case['merged_raw'][:, 0], atol=1e-6)


@golden
@pytest.mark.parametrize(
    'name, dilations',
    [
        ('e2e_n8_64_fast.npz', (1, 1)),
        ('e2e_n8_64_refine4.npz', (1, 2)),
        ('e2e_n9_60x90_odd_fast.npz', (1, 3)),
        ('e2e_n10_64_snip2_steps2.npz', (1, 3)),
        ('e2e_n12_64x96_full.npz', (1, 3, 3)),
    ],
)
def test_with_the_published_solver_the_clip_equals_that_of_the_release(name, dilations):
    if not (GOLDENS / name).is_file():
        pytest.skip(f'{name} is not among the goldens here')
    case, snippets, _ = golden_snippets(name, dilations)
    found = align_snippets(snippets, CoalignOptions(solver='adam'))
    clip = np.stack(list(merge_snippets(snippets, found)))
    # The tolerance of the goldens' README after co-alignment: Adam's steps never settle.
    np.testing.assert_allclose(clip, case['merged_raw'][:, 0], atol=5e-3)
    np.testing.assert_allclose(to_unit_range(clip), case['depth_coaligned'][:, 0], atol=5e-3)


class FakeDenoiser:
    """The golden's stand-in for the network, with a step of DDIM without noise (2010.02502)."""

    def __init__(self, rgb: np.ndarray, times: np.ndarray) -> None:
        betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        self.signal = np.cumprod(1 - betas)
        self.rgb, self.times = rgb, times

    def add_noise(self, latents: np.ndarray, noise: np.ndarray, step: int) -> np.ndarray:
        signal = self.signal[self.times[step]]
        return (signal**0.5 * latents + (1 - signal) ** 0.5 * noise).astype(np.float32)

    def __call__(self, latents: np.ndarray, frames: np.ndarray, step: int) -> np.ndarray:
        time = self.times[step]
        before = time - 1000 // len(self.times)
        velocity = (
            0.3 * latents
            + 0.1 * self.rgb[frames]
            - 0.2 * latents.mean(axis=1, keepdims=True)
            + 0.01 * time / 1000
        )
        signal, next_signal = self.signal[time], self.signal[max(before, 0)]
        clean = signal**0.5 * latents - (1 - signal) ** 0.5 * velocity
        noise = signal**0.5 * velocity + (1 - signal) ** 0.5 * latents
        return next_signal**0.5 * clean + (1 - next_signal) ** 0.5 * noise


@golden
@pytest.mark.parametrize('name', ['refine_fake_n9_s4_d2.npz', 'refine_fake_n24_s10_d6.npz'])
def test_refinement_equals_the_release(name):
    if not (GOLDENS / name).is_file():
        pytest.skip(f'{name} is not among the goldens here')
    case = np.load(GOLDENS / name)
    plan = plan_refinement(int(case['refine_step']), int(case['start_dilation']))
    assert len(case['timesteps_all']) == plan.total_steps
    denoise = FakeDenoiser(case['rgb_latent'][0], case['timesteps_all'])
    start = denoise.add_noise(case['depth_latents'][0], case['init_noise'], plan.first_step)
    refined = refine_latents(start, plan, 3, denoise)
    np.testing.assert_allclose(refined, case['out'][0], atol=1e-5)


def test_making_snippets_is_the_inverse_of_merging():
    clip = moving_clip(8)
    snippets = make_snippets(clip, noise=0, spread=0)
    np.testing.assert_allclose(
        list(merge_snippets(snippets, alignment(snippets))), clip, rtol=1e-6
    )
