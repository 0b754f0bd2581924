# SPDX-License-Identifier: Apache-2.0
"""An endless, seeded stream of training batches from a folder of clips that may still grow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from training.augment import random_look, random_view
from training.shards import Clip, find_clips

LOOK_AGAIN_BATCHES = 50
"""The folder is listed anew after so many batches."""
STILL_NOISE = 1.0, 8.0
"""Grey levels: a camera that stands still has nothing but noise and exposure to flicker by."""


@dataclass(frozen=True)
class Data:
    """Folders of clips.

    rendered        clips of the scene families
    held_out        clips to validate on
    recorded        clips of recordings (recorded.py) or of a teacher (pseudo_labels.py)
    recorded_share  of the samples: real images are few, and worth more
    """

    rendered: Path
    held_out: Path
    recorded: Path | None = None
    recorded_share: float = 0.3


@dataclass(frozen=True)
class BatchPlan:
    """What a batch is made of.

    frames  of each clip that follow each other in a sample (T); 1 for still images
    sizes   (width, height) of the network's input; each batch draws one
    still   share of the samples of clips in which the camera stands still
    """

    clips: int
    frames: int
    sizes: tuple[tuple[int, int], ...]
    still: float = 0.25


@dataclass(frozen=True)
class Batch:
    """images (B, T, H, W, 3) uint8 and canonical inverse depth (B, T, H, W) float32; 0 is sky."""

    images: Tensor
    inverse_depth: Tensor


class Batches(IterableDataset[Batch]):
    """The stream. Batch i depends on the seed, on i and on the clips that are there by then."""

    def __init__(self, data: Data, plan: BatchPlan, seed: int, start: int = 0) -> None:
        super().__init__()
        self.data, self.plan, self.seed, self.start = data, plan, seed, start

    def __iter__(self) -> Iterator[Batch]:
        index = self.start
        while True:
            pool = Pool.of(self.data)
            for _ in range(LOOK_AGAIN_BATCHES):
                yield draw_batch(pool, self.plan, np.random.default_rng((self.seed, index)))
                index += 1


@dataclass(frozen=True)
class Pool:
    """The clips to draw from: rendered ones of each family, and recorded ones."""

    by_family: list[list[Clip]]
    recorded: list[Clip]
    recorded_share: float

    @classmethod
    def of(cls, data: Data) -> Pool:
        """List the clips that are there now."""
        recorded = find_clips(data.recorded) if data.recorded else []
        return cls(clips_by_family(data.rendered), recorded, data.recorded_share)

    def draw(self, rng: Generator) -> Clip:
        """Draw a clip; each family of the rendered ones is as frequent as the others."""
        if self.recorded and rng.random() < self.recorded_share:
            return self.recorded[rng.integers(len(self.recorded))]
        family = self.by_family[rng.integers(len(self.by_family))]
        return family[rng.integers(len(family))]


def open_batches(data: Data, plan: BatchPlan, seed: int, start: int) -> Iterator[Batch]:
    """Return the stream from batch ``start`` on, prepared in a process of its own."""
    stream = Batches(data, plan, seed, start)
    return iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4))


def clips_by_family(folder: Path) -> list[list[Clip]]:
    """Return the clips of each family, so that families with few clips are seen as often."""
    families: dict[str, list[Clip]] = {}
    for clip in find_clips(folder):
        families.setdefault(clip.family, []).append(clip)
    if not families:
        raise FileNotFoundError(f'no clips in {folder}: run training.generate first')
    return list(families.values())


def draw_batch(pool: Pool, plan: BatchPlan, rng: Generator) -> Batch:
    """Draw clips and views of them."""
    size = plan.sizes[rng.integers(len(plan.sizes))]
    samples = [draw_sample(pool.draw(rng), plan, size, rng) for _ in range(plan.clips)]
    images, inverse_depth = zip(*samples, strict=True)
    return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(inverse_depth)))


def draw_sample(
    clip: Clip, plan: BatchPlan, size: tuple[int, int], rng: Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return augmented frames of a clip, (T, h, w, 3) uint8 and (T, h, w) float32."""
    image, inverse_depth = clip.image, clip.inverse_depth
    view = random_view(rng, image.shape[2], image.shape[1], size)
    look = random_look(rng)
    order = draw_order(len(image), plan.frames, rng, plan.still)
    if plan.frames > 1 and len(set(order)) == 1:
        look = replace(look, noise=float(rng.uniform(*STILL_NOISE)))
    images, truths = [], []
    for k in order:
        images.append(look.jittered(rng).apply(view.image(image[k]), rng))
        truths.append(view.inverse_depth(inverse_depth[k]))
    return np.stack(images), np.stack(truths)


def draw_order(stored: int, frames: int, rng: Generator, still: float = 0.25) -> list[int]:
    """Return which of the ``stored`` frames make a sample of ``frames``, in order.

    Mostly a walk with stride 1 or 2 in either direction, which turns at the ends; in the share
    ``still`` the camera stands still, so that the state learns to suppress noise.
    """
    at = int(rng.integers(stored))
    stride = 0 if rng.random() < still else int(rng.integers(1, 3))
    step = stride if rng.random() < 0.5 else -stride
    order = [at]
    while len(order) < frames:
        if not 0 <= at + step < stored:
            step = -step
        at = min(max(at + step, 0), stored - 1)
        order.append(at)
    return order
