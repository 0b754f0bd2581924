# SPDX-License-Identifier: Apache-2.0
"""Render clips to disk: `python -m training.generate FOLDER --clips N [--held-out]`.

Clip i is of the scene with seed + i. What is there already is kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.shards import canonical_inverse_depth, clip_path, write_clip
from videodepth_ros.synthetic.scenes import HELD_OUT_FAMILIES, TRAINING_FAMILIES, render_scene

FRAME_RATES = (2.0, 4.0, 8.0, 15.0)
"""Frames a second of the clips: slow ones see more of a scene, in fast ones little moves."""


SIZES = ((256, 192), (320, 240))
"""Width and height of the clips, in turn: small ones are cheap, large ones show fine things."""


def write_scene(folder: Path, index: int, seed: int, families: tuple[str, ...],
                frames: int) -> None:
    """Render and store clip ``index`` unless it is there."""
    family = families[index % len(families)]
    width, height = SIZES[index // len(families) % len(SIZES)]
    if clip_path(folder, family, index).exists():
        return
    fps = float(np.random.default_rng((seed, index)).choice(FRAME_RATES))
    shot = list(render_scene(family, seed + index, frames, width, height, fps))
    depth_m = np.stack([frame.depth_m for frame in shot])
    write_clip(folder, family, index, np.stack([frame.image for frame in shot]),
               canonical_inverse_depth(depth_m, shot[0].camera.fx))


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(prog='python -m training.generate', description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--clips', type=int, required=True, help='clips in the folder at the end')
    parser.add_argument('--first', type=int, default=0, help='index of the first clip')
    parser.add_argument('--seed', type=int, default=0, help='seed of scene 0')
    parser.add_argument('--held-out', action='store_true',
                        help='render the families that are never trained on')
    parser.add_argument('--frames', type=int, default=6, help='of each clip')
    arguments = parser.parse_args()
    families = HELD_OUT_FAMILIES if arguments.held_out else TRAINING_FAMILIES
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(arguments.first, arguments.clips), unit='clip'):
        write_scene(arguments.folder, index, arguments.seed, families, arguments.frames)


if __name__ == '__main__':
    main()
