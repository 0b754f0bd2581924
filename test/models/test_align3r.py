# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import math

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch.utils.flop_counter import FlopCounterMode

from test.support.small_align3r import SMALL, frames, small_align3r
from test.support.small_flashdepth import relmax
from videodepth_ros.core.errors import InputError, ModelError
from videodepth_ros.models.align3r import ALIGN3R, PATCH, Align3R, Features, load_align3r

pytestmark = pytest.mark.slow

ROUNDING = 2e-5  # relmax of the same sums in another order


@pytest.fixture(autouse=True)
def _inference():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


def assert_equal(found, wanted, gate: float = ROUNDING) -> None:
    for key, value in vars(wanted).items():
        assert relmax(getattr(found, key), value) <= gate, key


def one(features: Features, frame: int) -> Features:
    return features.take([frame])


def test_shapes_and_types():
    model = small_align3r()
    features = model.encode(*frames(2))
    found = model.pair(features, features.take([1, 0]))
    assert tuple(found.points_1.shape) == tuple(found.points_2.shape) == (2, 48, 64, 3)
    assert tuple(found.confidence_1.shape) == tuple(found.confidence_2.shape) == (2, 48, 64)
    assert all(value.dtype == torch.float32 for value in vars(found).values())
    assert (found.confidence_1 >= 1).all()


def test_features_serve_every_pair_they_are_in():
    """Reuse changes nothing: each pair is what its two frames alone make."""
    model, (images, points) = small_align3r(), frames(3)
    features = model.encode(images, points)
    for i, j in ((0, 1), (1, 0), (0, 2), (2, 2)):
        alone = model(images[i : i + 1], points[i : i + 1], images[j : j + 1], points[j : j + 1])
        assert_equal(model.pair(one(features, i), one(features, j)), alone)


def test_pairs_of_a_batch_do_not_mix():
    model = small_align3r()
    features = model.encode(*frames(3))
    first, second = [0, 1, 0, 2], [1, 0, 2, 2]
    together = model.pair(features.take(first), features.take(second))
    for row, (i, j) in enumerate(zip(first, second, strict=True)):
        alone = model.pair(one(features, i), one(features, j))
        for key, value in vars(alone).items():
            assert relmax(getattr(together, key)[row : row + 1], value) <= ROUNDING, key


def test_frames_encoded_apart_join():
    model, (images, points) = small_align3r(), frames(3)
    apart = [model.encode(images[i : i + 1], points[i : i + 1]) for i in range(3)]
    joined, together = Features.join(apart), model.encode(images, points)
    assert joined.frames == together.frames == 3
    assert_equal(
        model.pair(joined, joined.take([2, 1, 0])), model.pair(together, together.take([2, 1, 0]))
    )


def test_views_are_not_treated_alike():
    model = small_align3r()
    features = model.encode(*frames(1))
    found = model.pair(features, features)
    assert relmax(found.points_1, found.points_2) > 100 * ROUNDING


def test_every_injection_of_the_point_map_matters():
    model = small_align3r()
    assert len(model.zero_convs) == SMALL.point_depth + 1 == 3
    features = model.encode(*frames(2))
    before = model.pair(features, features)
    for zero_conv in model.zero_convs:
        kept = zero_conv[0].weight.clone()
        zero_conv[0].weight.zero_()
        features = model.encode(*frames(2))
        assert relmax(model.pair(features, features).points_1, before.points_1) > 10 * ROUNDING
        zero_conv[0].weight.copy_(kept)


def test_a_new_network_does_not_hear_the_point_map():
    """Its branch starts as that of a ControlNet: training begins where DUSt3R ended."""
    torch.manual_seed(0)
    model, (images, points) = Align3R(SMALL).eval(), frames(2)
    heard, unheard = model.encode(images, points), model.encode(images, points + 1)
    assert torch.equal(heard.embedded, unheard.embedded)
    assert not any(injection.any() for injection in heard.injections)


def test_mask_token_never_enters():
    model, given = small_align3r(), frames(1)
    before = model.encode(*given)
    model.mask_token.fill_(torch.nan)
    assert torch.equal(model.encode(*given).embedded, before.embedded)


@pytest.mark.parametrize('precision', [torch.float16, torch.bfloat16], ids=str)
def test_reduced_precision_keeps_norms_sums_and_heads(precision):
    model = small_align3r().in_precision(precision)
    for name, parameter in model.named_parameters():
        kept = 'head' in name or 'norm' in name or name == 'mask_token'
        assert parameter.dtype == (torch.float32 if kept else precision), name
    features = model.encode(*frames(1))
    assert features.embedded.dtype == features.finest[0].dtype == torch.float32
    found = model.pair(features, features)
    exact = small_align3r()
    wanted = exact.pair(*[exact.encode(*frames(1))] * 2)
    assert relmax(found.points_1, wanted.points_1) <= 20 * torch.finfo(precision).eps
    assert found.points_1.dtype == torch.float32


@pytest.mark.parametrize('size', [(40, 64), (48, 72)])
def test_part_of_a_patch_is_refused(size):
    with pytest.raises(InputError, match='multiples of 16'):
        small_align3r().encode(*frames(1, *size))


def test_what_does_not_fit_is_refused():
    model, (images, points) = small_align3r(), frames(2)
    with pytest.raises(InputError, match=r'point maps .* do not fit'):
        model.encode(images, points[:, :, :32])
    features, upright = model.encode(images, points), model.encode(*frames(2, 64, 48))
    with pytest.raises(InputError, match='64x48 and 48x64'):
        model.pair(features, upright)
    with pytest.raises(InputError, match='64x48 and 48x64'):
        Features.join([features, upright])
    with pytest.raises(InputError, match='2 first frames and 1 second'):
        model.pair(features, features.take([0]))


def test_pairs_of_a_window_cost_less_than_half_with_reuse():
    """Ten frames in fifty pairs at the published size: counted, not timed."""
    with torch.device('meta'):
        model = Align3R(ALIGN3R)
        given = torch.empty(1, 3, 288, 512), torch.empty(1, 288, 512, 3)
        with FlopCounterMode(display=False) as encoding:
            features = model.encode(*given)
        with FlopCounterMode(display=False) as pairing:
            model.pair(features, features)
    encode, pair = encoding.get_total_flops(), pairing.get_total_flops()
    assert 10 * encode + 50 * pair <= 0.45 * 50 * (2 * encode + pair)


@pytest.mark.parametrize(
    'form', ['trained.pth', 'bare.pth', 'all.safetensors', 'each_once.safetensors']
)
def test_checkpoints_load(tmp_path, form):
    """The .pth of the trainer with its arguments, and what Hugging Face makes of the network."""
    path, model = tmp_path / form, small_align3r()
    if form == 'trained.pth':
        torch.save(
            {
                'args': argparse.Namespace(lr=5e-5),
                'model': model.state_dict(),
                'epoch': 49,
                'best_so_far': math.inf,
            },
            path,
        )
    elif form == 'bare.pth':
        torch.save(model.state_dict(), path)
    elif form == 'all.safetensors':
        save_file({key: value.clone() for key, value in model.state_dict().items()}, path)
    else:
        save_model(model, str(path))
    found = load_align3r(path, SMALL)
    assert not found.training
    for key, value in found.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key


def test_a_checkpoint_without_the_point_map_branch_is_refused(tmp_path):
    """DUSt3R's own would load without it, and silently be DUSt3R."""
    path = tmp_path / 'dust3r.pth'
    torch.save(
        {
            key: value
            for key, value in small_align3r().state_dict().items()
            if 'zero_convs' not in key and 'pc' not in key and 'point_cloud' not in key
        },
        path,
    )
    with pytest.raises(ModelError, match=r'lacks 32 tensors, such as dec_blocks_pc'):
        load_align3r(path, SMALL)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU here')
@pytest.mark.parametrize('precision', [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_gpu_agrees(precision):
    given = frames(2)
    exact, model = small_align3r(), small_align3r().in_precision(precision).cuda()
    features = model.encode(*(value.cuda() for value in given))
    found, wanted = model.pair(features, features), exact.pair(*[exact.encode(*given)] * 2)
    gate = 100 * ROUNDING if precision == torch.float32 else 20 * torch.finfo(precision).eps
    assert relmax(found.points_2.cpu(), wanted.points_2) <= gate


def test_published_sizes():
    assert PATCH == 16
    assert ALIGN3R.point_depth == 4
    assert ALIGN3R.taps == (6, 9, 12)
