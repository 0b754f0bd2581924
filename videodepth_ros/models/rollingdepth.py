# SPDX-License-Identifier: Apache-2.0
"""RollingDepth's network: a latent diffusion model that sees the frames of a snippet at once.

Ke et al., "Video Depth without Video Models" (arXiv 2411.19189), sections 3.1 and 3.2: the depth
latents of a few frames are denoised beside the latents of their images. The components are those
of `diffusers` and load as they were published, with the checkpoint's own noise schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.models.catalogue import ROLLINGDEPTH_CARD, FolderCard, weights_path
from videodepth_ros.models.device_precision import DevicePrecision, select_device
from videodepth_ros.models.pretrained import quiet_transformers
from videodepth_ros.models.snippet_attention import attend_over_snippets

Floats = NDArray[np.float32]

LATENT_SCALE = 0.18215
"""Factor from the latents of the autoencoder to those of the UNet, fixed in the release."""


def open_rollingdepth(
    folder: Path | None = None, *, device: str = 'auto', precision: str = 'auto'
) -> RollingDepth:
    """Open the network; nothing is downloaded.

    folder     as the hub has it; None: the user's own, or the hub's cache
    device     ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``
    precision  ``auto`` (fp32 on a CPU, else fp16), ``fp32``, ``fp16`` or ``bf16``
    raises     ConfigError for an option that cannot be, ModelError where a component is missing
               or not whole, DeviceError where there is no such GPU
    """
    card = ROLLINGDEPTH_CARD
    return RollingDepth(
        card, weights_path(card) if folder is None else folder, select_device(device, precision)
    )


class RollingDepth:
    """The network; all arrays are float32. N frames, S snippets of L frames.

    notice      licence notice due to the user
    pixels      image pixels per latent, each way
    """

    def __init__(self, card: FolderCard, folder: Path, placement: DevicePrecision) -> None:
        """Load the five components of a folder.

        raises  ModelError naming the component that is missing or cannot be read
        """
        self.name, self.notice = card.name, card.notice
        self._placement = placement
        self._text = _empty_text(card, folder).to(placement.device, placement.dtype)
        self._unet = _loaded(UNet2DConditionModel, card, folder, 'unet', placement)
        self._autoencoder = _loaded(AutoencoderKL, card, folder, 'vae', placement)
        self._scheduler = _scheduler(card, folder)
        self._attention = attend_over_snippets(self._unet)
        self.vae_scale_factor = 2 ** (len(self._autoencoder.config.block_out_channels) - 1)
        self.latent_channels = int(self._autoencoder.config.latent_channels)

    def encode(self, images: Floats) -> Floats:
        """Return the latents (N, C, h, w) of images (N, 3, H, W) in -1 to 1.

        Trailing rows and columns that fill no latent are left out, as in the release.
        """
        with _computing(self.name):
            found = self._autoencoder.encode(self._tensor(images)).latent_dist.mode()
            return _array(found * LATENT_SCALE)

    def decode(self, latents: Floats) -> Floats:
        """Return the relative inverse depth (N, H, W) of latents (N, C, h, w)."""
        with _computing(self.name):
            found = self._autoencoder.decode(self._tensor(latents) / LATENT_SCALE).sample
            return _array(found.mean(dim=1))

    def predict(self, images: Floats, noise: Floats, steps: int = 1) -> Floats:
        """Return the depth latents of snippets, (S, L, C, h, w), denoised from pure noise.

        images  (S, L, C, h, w), latents of their images; noise (C, h, w) for every frame
        """
        latents = np.broadcast_to(noise, images.shape)
        for step in range(steps):
            latents = self.denoise(images, latents, step, steps)
        return latents

    def denoise(self, images: Floats, latents: Floats, step: int, steps: int) -> Floats:
        """Return the depth latents (S, L, C, h, w) after a step of a schedule of ``steps``.

        images, latents  (S, L, C, h, w)
        """
        time = self._time(step, steps)
        with _computing(self.name):
            self._attention.length = images.shape[1]
            noisy = self._tensor(latents).flatten(0, 1)
            seen = torch.cat([self._tensor(images).flatten(0, 1), noisy], dim=1)
            predicted = self._unet(
                seen, time.to(noisy.device).expand(len(seen)), self._text.expand(len(seen), -1, -1)
            ).sample
            after = self._scheduler.step(predicted, time, noisy).prev_sample
            return _array(after).reshape(latents.shape)

    def add_noise(self, latents: Floats, noise: Floats, step: int, steps: int) -> Floats:
        """Return latents (N, C, h, w) with the noise (C, h, w) that they have before a step."""
        time = self._time(step, steps)
        clean = self._tensor(latents)
        return _array(
            self._scheduler.add_noise(
                clean, self._tensor(noise).expand_as(clean), time.expand(len(clean))
            )
        )

    def _time(self, step: int, steps: int) -> Tensor:
        self._scheduler.set_timesteps(steps)
        return torch.as_tensor(self._scheduler.timesteps[step])

    def _tensor(self, array: Floats) -> Tensor:
        return torch.from_numpy(np.array(array, np.float32)).to(
            self._placement.device, self._placement.dtype
        )


@contextmanager
def _computing(name: str) -> Iterator[None]:
    """Compute without gradients; raises DeviceError where that fails."""
    try:
        with torch.inference_mode():
            yield
    except RuntimeError as error:
        raise DeviceError(
            f'{name} failed: {error}; where memory has run out, choose a smaller '
            'size or fewer frames at once'
        ) from error


def _array(tensor: Tensor) -> Floats:
    return np.asarray(tensor.float().cpu().numpy())


def _loaded(
    kind: Any, card: FolderCard, folder: Path, component: str, placement: DevicePrecision
) -> Any:
    """Return a network of `diffusers` with exactly the weights of a folder, ready to run."""
    with _reading(card, folder, component):
        model, found = kind.from_pretrained(
            folder,
            subfolder=component,
            local_files_only=True,
            torch_dtype=placement.dtype,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    missing = sorted(found['missing_keys'])
    if missing:
        raise ModelError(
            f'{folder / component} lacks {len(missing)} tensors, such as {missing[0]}: '
            f'{card.how_to_get}'
        )
    return model.to(placement.device).eval().requires_grad_(False)


def _scheduler(card: FolderCard, folder: Path) -> Any:
    with _reading(card, folder, 'scheduler'):
        return DDIMScheduler.from_pretrained(folder, subfolder='scheduler', local_files_only=True)


def _empty_text(card: FolderCard, folder: Path) -> Tensor:
    """Return the text encoder's embedding of the empty prompt, (1, 2, C), unpadded.

    It is the only prompt, so that the encoder is not kept.
    """
    with _reading(card, folder, 'tokenizer'):
        tokenizer = CLIPTokenizer.from_pretrained(folder / 'tokenizer', local_files_only=True)
        tokens = tokenizer('', padding='do_not_pad', return_tensors='pt').input_ids
    with _reading(card, folder, 'text_encoder'):
        encoder = CLIPTextModel.from_pretrained(folder / 'text_encoder', local_files_only=True)
    with torch.inference_mode():
        embedding: Tensor = encoder.eval()(tokens)[0]
    return embedding


@contextmanager
def _reading(card: FolderCard, folder: Path, component: str) -> Iterator[None]:
    """Read a component silently; raise ModelError where that fails."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with quiet_transformers():
            yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(
            f'{folder / component} of {card.name} cannot be read: {error}; {card.how_to_get}'
        ) from error
    finally:
        logging.set_verbosity(verbosity)
