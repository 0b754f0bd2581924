# SPDX-License-Identifier: Apache-2.0
"""RollingDepth on one shot: its stages and their intermediate files.

Encode images, predict snippets, co-align and merge them, and refine the merged clip (arXiv
2411.19189, sections 3.2 to 3.4). Files grow by whole batches and get their final name when
complete, so that an interrupted run resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from videodepth_ros.coalign.options import COALIGN_DEFAULTS, CoalignOptions
from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.coalign.solver import align_snippets, merge_snippets
from videodepth_ros.core.arrays import Float32Array, IndexArray, UInt8Array
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.rollingdepth.scaling import InputScaling
from videodepth_ros.rollingdepth.settings import RollingSettings
from videodepth_ros.rollingdepth.snippets import (
    RefinementSchedule,
    largest_dilation,
    plan_refinement,
    plan_snippets,
    refinement_step,
    release_dilation_cap,
    snippet_frames,
)

OnImages = Callable[[int], None]
"""Callback with the number of images that have passed the network since the last call."""

DTYPES: dict[str, type[np.floating[Any]]] = {'fp16': np.float16, 'fp32': np.float32}


class SnippetNetwork(Protocol):
    """Latent diffusion model of snippets, as `models.rollingdepth.RollingDepth`."""

    vae_scale_factor: int
    latent_channels: int

    def encode(self, images: Float32Array) -> Float32Array:
        """Return the latents (N, C, h, w) of images (N, 3, H, W)."""

    def decode(self, latents: Float32Array) -> Float32Array:
        """Return the relative inverse depth (N, H, W) of latents (N, C, h, w)."""

    def predict(self, images: Float32Array, noise: Float32Array, steps: int) -> Float32Array:
        """Return the depth latents of snippets, (S, L, C, h, w), from noise (C, h, w)."""

    def denoise(
        self, images: Float32Array, latents: Float32Array, step: int, steps: int
    ) -> Float32Array:
        """Return the depth latents of snippets, (S, L, C, h, w), after a scheduler step."""

    def add_noise(
        self, latents: Float32Array, noise: Float32Array, step: int, steps: int
    ) -> Float32Array:
        """Return latents (N, C, h, w) with the noise of a scheduler step's timestep."""


@dataclass(frozen=True)
class RollingShot:
    """Prediction of one shot, in a folder of its own.

    images  (N, H, W, 3) uint8 RGB
    noise   (C, h, w) float32, the same for every frame
    """

    images: Sequence[UInt8Array]
    network: SnippetNetwork
    settings: RollingSettings
    scaling: InputScaling
    noise: Float32Array
    folder: Path

    @cached_property
    def snippets(self) -> tuple[IndexArray, ...]:
        """Frames of the snippets, (S, L) for each length and dilation."""
        preset, count = self.settings.preset, len(self.images)
        if not self.settings.parity:
            return tuple(
                group
                for length in preset.snippet_lengths
                for group in plan_snippets(count, length, preset.dilations)
            )
        return tuple(
            snippet_frames(
                count,
                length,
                release_dilation_cap(count, length, dilation) if preset.capped else dilation,
            )
            for length in preset.snippet_lengths
            for dilation in preset.dilations
        )

    @cached_property
    def refinement(self) -> RefinementSchedule | None:
        """Schedule of the refinement; None without refinement."""
        preset = self.settings.preset
        if not preset.refine_steps:
            return None
        start = preset.refine_start_dilation
        if preset.capped or not self.settings.parity:
            cap = release_dilation_cap if self.settings.parity else largest_dilation
            start = cap(len(self.images), preset.refine_length, start)
        return plan_refinement(preset.refine_steps, start)

    @property
    def image_passes(self) -> int:
        """Images that pass the network, over all stages: the unit of progress."""
        steps = 2 + len(self.refinement.dilations) if self.refinement else 0
        return (1 + steps) * len(self.images) + sum(group.size for group in self.snippets)

    def predict_depth(self, on_images: OnImages) -> Iterator[Float32Array]:
        """Yield the relative inverse depth (h, w) of each frame."""
        self.folder.mkdir(parents=True, exist_ok=True)
        images = self._encode('images', self._image_input, on_images)
        merged = self._merge(images, on_images)
        if self.refinement:
            yield from self._refine(images, merged, self.refinement, on_images).open()
        elif self.settings.parity:
            to_unit = _unit_range(merged)
            yield from (to_unit(depth) for depth in merged.open())
        else:
            yield from merged.open()

    def _image_input(self, frame: int) -> Float32Array:
        return self.scaling.image_input(self.images[frame])

    def _encode(
        self, name: str, frame_input: Callable[[int], Float32Array], on_images: OnImages
    ) -> DiskArray:
        """Store the latents of one input (3, H, W) per frame."""
        latents = self._latent_file(name)
        _append_batches(
            latents,
            len(self.images),
            self.settings.images_at_once,
            lambda frames: self.network.encode(np.stack([frame_input(n) for n in frames])),
            on_images,
        )
        return latents

    def _latent_file(self, name: str) -> DiskArray:
        return DiskArray(self.folder / name, self.noise.shape, 'float32')

    @property
    def _size(self) -> tuple[int, int]:
        """Height and width of the depth: without padding, and as far as latents cover it."""
        height, width = (side * self.network.vae_scale_factor for side in self.noise.shape[1:])
        return min(height, self.scaling.height), min(width, self.scaling.width)

    def _decode(self, latents: Float32Array) -> Float32Array:
        """Return the depth (N, h, w) of latents (N, C, h, w), in batches."""
        batch_size, (height, width) = self.settings.images_at_once, self._size
        return np.concatenate(
            [
                self.network.decode(latents[start : start + batch_size])[:, :height, :width]
                for start in range(0, len(latents), batch_size)
            ]
        )

    def _predict(self, images: DiskArray, on_images: OnImages) -> Iterator[Snippets]:
        """Store the depth maps of all snippets, one file per group."""
        dtype = np.dtype(DTYPES[self.settings.preset.precision]).name
        image_latents, steps = images.open(), self.settings.preset.denoise_steps
        for number, frames in enumerate(self.snippets):
            length = frames.shape[1]
            depth = DiskArray(self.folder / f'snippets-{number}', (length, *self._size), dtype)

            def make(batch: range, frames: IndexArray = frames) -> Float32Array:
                latents = self.network.predict(image_latents[frames[batch]], self.noise, steps)
                return self._decode(latents.reshape(-1, *self.noise.shape)).reshape(
                    len(batch), frames.shape[1], *self._size
                )

            _append_batches(
                depth,
                len(frames),
                self.settings.snippets_at_once,
                make,
                lambda count, length=length: on_images(length * count),  # type: ignore[misc]
            )
            yield Snippets(frames, depth.open())

    def _merge(self, images: DiskArray, on_images: OnImages) -> DiskArray:
        """Store the mean of the co-aligned snippets, one depth map per frame."""
        merged = DiskArray(self.folder / 'merged', self._size, 'float32')
        if merged.exists():
            on_images(sum(group.size for group in self.snippets))
            return merged
        snippets = tuple(self._predict(images, on_images))
        options, precision = COALIGN_DEFAULTS, DTYPES['fp32']
        if self.settings.parity:
            options = CoalignOptions(solver='adam')
            precision = DTYPES[self.settings.preset.precision]
        alignment = align_snippets(snippets, options)
        with merged.writer() as writer:
            for depth in merge_snippets(snippets, alignment, precision):
                writer.append(depth)
        return merged

    def _refine(
        self,
        images: DiskArray,
        merged: DiskArray,
        schedule: RefinementSchedule,
        on_images: OnImages,
    ) -> DiskArray:
        """Store the clip after noise is added and removed again."""
        refined = DiskArray(self.folder / 'refined', self._size, 'float32')
        to_unit, depth = _unit_range(merged), merged.open()
        latents = self._encode(
            'merged-latents', lambda n: self.scaling.depth_input(to_unit(depth[n])), on_images
        )
        image_latents, stored = images.open(), latents.open()

        def denoise(latents: Float32Array, frames: IndexArray, step: int) -> Float32Array:
            if step == schedule.first_step:
                latents = self._add_noise(latents, schedule)
            return self.network.denoise(image_latents[frames], latents, step, schedule.total_steps)

        length, batch_size = self.settings.preset.refine_length, self.settings.snippets_at_once
        for step, dilation in enumerate(schedule.dilations, schedule.first_step):
            after = self._latent_file(f'refined-{step}')
            if not after.exists():
                with after.writer(resume=True) as writer:
                    for latent in refinement_step(
                        stored, dilation, step, length, denoise, batch_size, writer.count
                    ):
                        writer.append(latent)
            on_images(len(self.images))
            stored = after.open()
        _append_batches(
            refined,
            len(stored),
            self.settings.images_at_once,
            lambda batch: self._decode(stored[batch.start : batch.stop]),
            on_images,
        )
        return refined

    def _add_noise(self, latents: Float32Array, schedule: RefinementSchedule) -> Float32Array:
        flat = latents.reshape(-1, *self.noise.shape)
        noisy = self.network.add_noise(flat, self.noise, schedule.first_step, schedule.total_steps)
        return noisy.reshape(latents.shape)


def _append_batches(
    array: DiskArray,
    count: int,
    batch_size: int,
    make: Callable[[range], Iterable[Float32Array]],
    on_done: Callable[[int], None],
) -> None:
    """Append the missing ones of ``count`` records, in whole batches.

    A batch always begins at the same record: results depend on the batch they are computed in.
    """
    if array.exists():
        on_done(count)
        return
    with array.writer(resume=True) as writer:
        writer.truncate(writer.count // batch_size * batch_size)
        on_done(writer.count)
        for start in range(writer.count, count, batch_size):
            batch = range(start, min(start + batch_size, count))
            for record in make(batch):
                writer.append(record)
            on_done(len(batch))


def _unit_range(clip: DiskArray) -> Callable[[Float32Array], Float32Array]:
    """Return the map of a clip's depth maps to -1 at its minimum and 1 at its maximum."""
    maps = clip.open()
    lowest = min(float(np.nanmin(depth)) for depth in maps)
    highest = max(float(np.nanmax(depth)) for depth in maps)
    scale = np.float32(2 / max(highest - lowest, 1e-12))
    return lambda depth: (depth - np.float32(lowest)) * scale - np.float32(1)
