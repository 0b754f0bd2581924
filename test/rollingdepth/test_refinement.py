# SPDX-License-Identifier: Apache-2.0
"""Prediction and refinement of snippets with functions in place of a network."""

from __future__ import annotations

import numpy as np
import pytest

from test.support.film_clip import GOLDENS, golden, moving_clip
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.rollingdepth.snippets import (
    plan_refinement,
    plan_snippets,
    predict_snippets,
    refine_latents,
    refinement_step,
)


def test_predictions_are_stored_in_a_given_folder(tmp_path):
    clip = moving_clip(12)
    snippets = predict_snippets(plan_snippets(12), lambda frames: clip[frames], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ['0.npy', '1.npy']
    assert all(isinstance(kind.relative_depth, np.memmap) for kind in snippets)
    assert np.array_equal(snippets[1].relative_depth, clip[snippets[1].frames])


def test_refinement_averages_the_windows_of_a_frame():
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
def test_batches_of_windows_change_nothing(at_once):
    latents = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)

    def denoise(latents, frames, step):
        return latents * latents.mean(axis=1, keepdims=True) + np.float32(step)

    alone, together = (list(refinement_step(latents, 3, 7, 3, denoise, n)) for n in (1, at_once))
    np.testing.assert_array_equal(alone, together)


def test_a_dilation_that_misses_frames_is_rejected():
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
