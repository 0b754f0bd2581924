# SPDX-License-Identifier: Apache-2.0
"""Render clips to disk: `python -m training.generate FOLDER --clips N [--held-out]`.

Clip i is of the scene with seed + i. What is there already is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.scenes import TRAINING_FAMILIES
from training.shards import canonical_inverse_depth, clip_path, write_clip
from videodepth_ros.synthetic.families import FAMILIES, HELD_OUT_FAMILIES, Family
from videodepth_ros.synthetic.render import SyntheticFrame
from videodepth_ros.synthetic.scenes import render_family

FRAME_RATES = (2.0, 4.0, 8.0, 15.0)
"""Frames a second of the clips: slow ones see more of a scene, in fast ones little moves."""

SIZES = ((256, 192), (320, 240))
"""Width and height of the clips, in turn: small ones are cheap, large ones show fine things."""

HELD_OUT = tuple(FAMILIES[name] for name in HELD_OUT_FAMILIES)
"""Families to measure on: never trained on."""


@dataclass(frozen=True)
class Take:
    """Clip ``index`` of those that begin with scene ``seed``, of one of the ``families``."""

    index: int
    seed: int
    families: tuple[Family, ...]
    frames: int

    @property
    def family(self) -> Family:
        """Return the family of the clip: they take turns."""
        return self.families[self.index % len(self.families)]

    @property
    def fps(self) -> float:
        """Frames a second."""
        return float(np.random.default_rng((self.seed, self.index)).choice(FRAME_RATES))

    def shoot(self) -> Iterator[SyntheticFrame]:
        """Render the clip."""
        width, height = SIZES[self.index // len(self.families) % len(SIZES)]
        return render_family(
            self.family, self.seed + self.index, self.frames, width, height, self.fps
        )

    def store(self, folder: Path) -> None:
        """Render and write the clip unless it is there."""
        if clip_path(folder, self.family.name, self.index).exists():
            return
        shot = list(self.shoot())
        depth_m = np.stack([frame.depth_m for frame in shot])
        write_clip(
            folder,
            self.family.name,
            self.index,
            np.stack([frame.image for frame in shot]),
            canonical_inverse_depth(depth_m, shot[0].camera.fx),
        )


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(prog='python -m training.generate', description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--clips', type=int, required=True, help='clips in the folder at the end')
    parser.add_argument('--first', type=int, default=0, help='index of the first clip')
    parser.add_argument('--seed', type=int, default=0, help='seed of scene 0')
    parser.add_argument(
        '--held-out', action='store_true', help='render the families that are never trained on'
    )
    parser.add_argument('--frames', type=int, default=4, help='of each clip')
    arguments = parser.parse_args()
    families = HELD_OUT if arguments.held_out else tuple(TRAINING_FAMILIES.values())
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(arguments.first, arguments.clips), unit='clip'):
        Take(index, arguments.seed, families, arguments.frames).store(arguments.folder)


if __name__ == '__main__':
    main()
