# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('diffusers')
from test.support.small_rollingdepth import write_rollingdepth  # noqa: E402
from videodepth_ros.core.errors import ModelError  # noqa: E402
from videodepth_ros.models.catalogue import ROLLINGDEPTH_CARD, weights_path  # noqa: E402
from videodepth_ros.models.rollingdepth import RollingDepth, open_rollingdepth  # noqa: E402

GOLDENS = Path(__file__).parents[2].parent / 'shared' / 'goldens' / 'rollingdepth'
golden = pytest.mark.skipif(not GOLDENS.is_dir(), reason='no goldens of RollingDepth here')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return write_rollingdepth(tmp_path_factory.mktemp('rollingdepth'))


@pytest.fixture(scope='module')
def network(folder) -> RollingDepth:
    return open_rollingdepth(folder, device='cpu')


def relmax(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def latents(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((*shape, 4, 2, 3)).astype(np.float32)


def test_an_image_becomes_latents_and_latents_depth(network):
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, 16, 24)).astype(np.float32)
    encoded = network.encode(image)
    assert encoded.shape == (2, network.latent_channels, 2, 3)
    assert network.vae_scale_factor == 8
    decoded = network.decode(encoded)
    assert decoded.shape == (2, 16, 24)
    assert decoded.dtype == np.float32


def test_snippets_computed_together_are_those_computed_alone(network):
    images, noise = latents(3, 3), latents()
    together = network.predict(images, noise)
    alone = np.concatenate([network.predict(image[None], noise) for image in images])
    # Sums of float32 in batches of another size.
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_frames_of_a_snippet_see_each_other_and_not_other_snippets(network):
    images, noise = latents(2, 3), latents()
    before = network.predict(images, noise)
    images[0, 2] += 1
    after = network.predict(images, noise)
    assert np.abs(after - before)[0, :2].max() > 1e-4
    np.testing.assert_allclose(after[1], before[1], atol=1e-6)


def test_nothing_tells_the_order_of_the_frames(network):
    images, noise = latents(1, 3), latents()
    turned = network.predict(images[:, ::-1], noise)[:, ::-1]
    np.testing.assert_allclose(turned, network.predict(images, noise), atol=1e-5)


def test_a_schedule_from_noise_ends_without_it(network):
    clean, noise = latents(3), latents(seed=1)
    first, last = (network.add_noise(clean, noise, step, 10) for step in (0, 9))
    assert np.abs(first - noise).max() < 0.35 < np.abs(first - clean).max()
    assert np.abs(last - clean).max() < np.abs(first - clean).max()


def test_more_steps_are_those_of_the_scheduler_one_after_the_other(network):
    images, noise = latents(1, 2), latents()
    twice = network.denoise(
        images, network.denoise(images, np.broadcast_to(noise, images.shape), 0, 2), 1, 2
    )
    np.testing.assert_array_equal(network.predict(images, noise, 2), twice)


@pytest.mark.parametrize('component', ['unet', 'vae', 'scheduler', 'text_encoder', 'tokenizer'])
def test_a_component_that_is_missing_is_named_and_how_to_get_it(folder, tmp_path, component):
    shutil.copytree(folder, tmp_path / 'copy')
    shutil.rmtree(tmp_path / 'copy' / component)
    with pytest.raises(ModelError, match=f'{component}.*fetch rollingdepth') as raised:
        open_rollingdepth(tmp_path / 'copy', device='cpu')
    assert 'weights fetch rollingdepth' in str(raised.value)


def test_weights_that_lack_a_tensor_are_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / 'copy')
    file = tmp_path / 'copy' / 'unet' / 'diffusion_pytorch_model.safetensors'
    tensors = load_file(file)
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != 'conv_in.weight'},
        file,
        {'format': 'pt'},
    )
    with pytest.raises(ModelError, match=r'conv_in\.weight'):
        open_rollingdepth(tmp_path / 'copy', device='cpu')


def test_the_schedule_is_the_checkpoints_own(folder, tmp_path):
    shutil.copytree(folder, tmp_path / 'copy')
    file = tmp_path / 'copy' / 'scheduler' / 'scheduler_config.json'
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {'rescale_betas_zero_snr': True}))
    zero_snr = open_rollingdepth(tmp_path / 'copy', device='cpu')
    clean, noise = latents(1), latents(seed=1)
    np.testing.assert_allclose(zero_snr.add_noise(clean, noise, 0, 1)[0], noise, atol=1e-6)


def test_the_users_own_folder_is_found_by_its_name(folder, tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path))
    shutil.copytree(folder, tmp_path / ROLLINGDEPTH_CARD.weights_file)
    assert weights_path(ROLLINGDEPTH_CARD) == tmp_path / 'rollingdepth'
    assert open_rollingdepth(device='cpu').notice == ROLLINGDEPTH_CARD.notice
    assert 'OpenRAIL' in ROLLINGDEPTH_CARD.notice


@golden
def test_the_network_equals_the_release():
    network = open_rollingdepth(GOLDENS / 'tiny_rollingdepth', device='cpu')
    case = np.load(GOLDENS / 'tiny_components.npz')
    text = network._text
    assert relmax(text.numpy(), case['empty_text_embed']) < 1e-5
    for seen, told, time in (
        ('unet_in', 'unet_out_num_view3', 999),
        ('unet_in4', 'unet_out_num_view4_t499', 499),
        ('unet_in', 'unet_out_independent', 999),
    ):
        frames = torch.from_numpy(case[seen])
        network._attention.length = 1 if told.endswith('independent') else len(frames)
        with torch.inference_mode():
            found = network._unet(
                frames, torch.full((len(frames),), time), text.expand(len(frames), -1, -1)
            ).sample
        assert relmax(found.numpy(), case[told]) < 1e-5
    for kind in ('in', 'in_odd'):
        name = kind.removeprefix('in')
        encoded = network.encode(case[f'vae_{kind}'])
        assert relmax(encoded, case[f'vae_latent{name or "_scaled"}']) < 1e-5
        wanted = case[f'vae_decoded{name or "_mean"}'][:, 0]
        assert relmax(network.decode(encoded), wanted) < 1e-5
