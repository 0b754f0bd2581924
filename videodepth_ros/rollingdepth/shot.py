# SPDX-License-Identifier: Apache-2.0
"""RollingDepth on one shot: its stages, and the files that they leave.

Images become latents, snippets become pictures, these are co-aligned and merged, and the merged
clip may be refined (arXiv 2411.19189, sections 3.2 to 3.4). Every file grows by whole batches and
has its name once it is whole, so that a killed run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.alignment import CoalignSettings, align_snippets
from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.rollingdepth.inference import Indices, merge_snippets, refined_once
from videodepth_ros.rollingdepth.scaling import Scaling
from videodepth_ros.rollingdepth.settings import RollingSettings
from videodepth_ros.rollingdepth.snippets import (
    RefinementPlan,
    largest_dilation,
    plan_refinement,
    plan_snippets,
    release_dilation_cap,
    snippet_frames,
)

Floats = NDArray[np.float32]
Told = Callable[[int], None]

DTYPES: dict[str, type[np.floating[Any]]] = {'fp16': np.float16, 'fp32': np.float32}


class SnippetNetwork(Protocol):
    """What computes; `models.rollingdepth.RollingDepth` says how."""

    pixels: int
    channels: int

    def encode(self, images: Floats) -> Floats:
        """Return the latents (N, C, h, w) of images (N, 3, H, W)."""

    def decode(self, latents: Floats) -> Floats:
        """Return the relative inverse depth (N, H, W) of latents (N, C, h, w)."""

    def predict(self, images: Floats, noise: Floats, steps: int) -> Floats:
        """Return the depth latents of snippets, (S, L, C, h, w), from noise (C, h, w)."""

    def denoise(self, images: Floats, latents: Floats, step: int, steps: int) -> Floats:
        """Return the depth latents of snippets, (S, L, C, h, w), after a step."""

    def noised(self, latents: Floats, noise: Floats, step: int, steps: int) -> Floats:
        """Return latents (N, C, h, w) with the noise that they have before a step."""


@dataclass(frozen=True)
class RollingShot:
    """One shot: images (N, H, W, 3) uint8, noise (C, h, w) of every frame, a folder of its own."""

    images: Sequence[NDArray[np.uint8]]
    network: SnippetNetwork
    settings: RollingSettings
    scaling: Scaling
    noise: Floats
    folder: Path

    @cached_property
    def plan(self) -> tuple[Indices, ...]:
        """The snippets: an array (S, L) for each length and dilation."""
        preset, count = self.settings.preset, len(self.images)
        if not self.settings.parity:
            return tuple(
                kind
                for length in preset.snippet_lengths
                for kind in plan_snippets(count, length, preset.dilations)
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
    def refinement(self) -> RefinementPlan | None:
        """The steps of the refinement; None where there is none."""
        preset = self.settings.preset
        if not preset.refine_steps:
            return None
        start = preset.refine_start_dilation
        if preset.capped or not self.settings.parity:
            cap = release_dilation_cap if self.settings.parity else largest_dilation
            start = cap(len(self.images), preset.refine_length, start)
        return plan_refinement(preset.refine_steps, start)

    @property
    def work(self) -> int:
        """Pictures that pass through the network."""
        steps = 2 + len(self.refinement.dilations) if self.refinement else 0
        return (1 + steps) * len(self.images) + sum(kind.size for kind in self.plan)

    def depth(self, told: Told) -> Iterator[Floats]:
        """Yield the depth of each frame; ``told`` is told of the pictures that are done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        images = self._encoded('images', self._image, told)
        merged = self._merged(images, told)
        if self.refinement:
            yield from self._refined(images, merged, self.refinement, told).open()
        elif self.settings.parity:
            to_unit = _unit_range(merged)
            yield from (to_unit(picture) for picture in merged.open())
        else:
            yield from merged.open()

    def _image(self, frame: int) -> Floats:
        return self.scaling.of_image(self.images[frame])

    def _encoded(self, name: str, picture: Callable[[int], Floats], told: Told) -> DiskArray:
        """Keep the latents of one picture (3, H, W) a frame."""
        latents = self._latents(name)
        _grow(
            latents,
            len(self.images),
            self.settings.images_at_once,
            lambda frames: self.network.encode(np.stack([picture(at) for at in frames])),
            told,
        )
        return latents

    def _latents(self, name: str) -> DiskArray:
        return DiskArray(self.folder / name, self.noise.shape, 'float32')

    @property
    def _size(self) -> tuple[int, int]:
        """Height and width of the depth: of the images, or of the latents where these are less."""
        height, width = (side * self.network.pixels for side in self.noise.shape[1:])
        return min(height, self.scaling.height), min(width, self.scaling.width)

    def _decoded(self, latents: Floats) -> Floats:
        """Return the depth (N, h, w) of latents (N, C, h, w), a few at a time."""
        at_once, (height, width) = self.settings.images_at_once, self._size
        return np.concatenate(
            [
                self.network.decode(latents[start : start + at_once])[:, :height, :width]
                for start in range(0, len(latents), at_once)
            ]
        )

    def _predicted(self, images: DiskArray, told: Told) -> Iterator[Snippets]:
        """Keep the pictures of all snippets, a file for each kind."""
        dtype = np.dtype(DTYPES[self.settings.preset.precision]).name
        seen, steps = images.open(), self.settings.preset.denoise_steps
        for number, frames in enumerate(self.plan):
            length = frames.shape[1]
            pictures = DiskArray(
                self.folder / f'snippets-{number}', (length, *self._size), dtype
            )

            def make(batch: range, frames: Indices = frames) -> Floats:
                latents = self.network.predict(seen[frames[batch]], self.noise, steps)
                return self._decoded(latents.reshape(-1, *self.noise.shape)).reshape(
                    len(batch), frames.shape[1], *self._size
                )

            _grow(
                pictures,
                len(frames),
                self.settings.snippets_at_once,
                make,
                lambda count, length=length: told(length * count),  # type: ignore[misc]
            )
            yield Snippets(frames, pictures.open())

    def _merged(self, images: DiskArray, told: Told) -> DiskArray:
        """Keep the co-aligned mean of all snippets, a picture a frame."""
        merged = DiskArray(self.folder / 'merged', self._size, 'float32')
        if merged.exists():
            told(sum(kind.size for kind in self.plan))
            return merged
        snippets = tuple(self._predicted(images, told))
        coalign, precision = CoalignSettings(), DTYPES['fp32']
        if self.settings.parity:
            coalign = CoalignSettings(solver='adam')
            precision = DTYPES[self.settings.preset.precision]
        alignment = align_snippets(snippets, coalign)
        with merged.writer() as growth:
            for picture in merge_snippets(snippets, alignment, precision):
                growth.append(picture)
        return merged

    def _refined(
        self, images: DiskArray, merged: DiskArray, plan: RefinementPlan, told: Told
    ) -> DiskArray:
        """Keep the clip after noise was added and taken away again."""
        refined = DiskArray(self.folder / 'refined', self._size, 'float32')
        to_unit, pictures = _unit_range(merged), merged.open()
        latents = self._encoded(
            'merged-latents', lambda at: self.scaling.of_depth(to_unit(pictures[at])), told
        )
        seen, stored = images.open(), latents.open()

        def denoise(latents: Floats, frames: Indices, step: int) -> Floats:
            if step == plan.first_step:
                latents = self._noised(latents, plan)
            return self.network.denoise(seen[frames], latents, step, plan.total_steps)

        length, at_once = self.settings.preset.refine_length, self.settings.snippets_at_once
        for step, dilation in enumerate(plan.dilations, plan.first_step):
            after = self._latents(f'refined-{step}')
            if not after.exists():
                with after.writer(resume=True) as growth:
                    for latent in refined_once(
                        stored, dilation, step, length, denoise, at_once, growth.count
                    ):
                        growth.append(latent)
            told(len(self.images))
            stored = after.open()
        _grow(
            refined,
            len(stored),
            self.settings.images_at_once,
            lambda batch: self._decoded(stored[batch.start : batch.stop]),
            told,
        )
        return refined

    def _noised(self, latents: Floats, plan: RefinementPlan) -> Floats:
        flat = latents.reshape(-1, *self.noise.shape)
        return self.network.noised(flat, self.noise, plan.first_step, plan.total_steps).reshape(
            latents.shape
        )


def _grow(
    into: DiskArray,
    count: int,
    at_once: int,
    make: Callable[[range], Iterable[Floats]],
    told: Told,
) -> None:
    """Append what is not there yet of ``count`` records, whole batches at a time.

    A batch always begins at the same record: the numerics of a batch are not those of another.
    """
    if into.exists():
        told(count)
        return
    with into.writer(resume=True) as growth:
        growth.truncate(growth.count // at_once * at_once)
        told(growth.count)
        for start in range(growth.count, count, at_once):
            batch = range(start, min(start + at_once, count))
            for record in make(batch):
                growth.append(record)
            told(len(batch))


def _unit_range(clip: DiskArray) -> Callable[[Floats], Floats]:
    """Return what brings the pictures of a clip to -1 at its least and 1 at its greatest value."""
    pictures = clip.open()
    least = min(float(np.nanmin(picture)) for picture in pictures)
    most = max(float(np.nanmax(picture)) for picture in pictures)
    scale = np.float32(2 / max(most - least, 1e-12))
    return lambda picture: (picture - np.float32(least)) * scale - np.float32(1)
