# SPDX-License-Identifier: Apache-2.0
"""How fast synthetic frames are made on one core: prints JSON, one entry a family.

python bench/synthetic.py [--size 256x192] [--frames 8] [--scenes 3]
"""

from __future__ import annotations

import argparse
import json
import time

import cv2
import numpy as np

from training.scenes import TRAINING_FAMILIES
from videodepth_ros.synthetic.atlas import load_atlas
from videodepth_ros.synthetic.families import FAMILIES, Family
from videodepth_ros.synthetic.scenes import render_clips, render_views


def measure(family: Family, scenes: int, frames: int, width: int, height: int) -> dict[str, float]:
    """Return processor seconds as rates: frames of clips, and of unrelated views."""
    start = time.process_time()
    for seed in range(scenes):
        list(render_clips(family, seed, 1, frames, width, height))
    clips_s = time.process_time() - start
    start = time.process_time()
    depths = [
        v.depth_m
        for seed in range(scenes)
        for v in render_views(family, seed, frames, width, height)
    ]
    views_s = time.process_time() - start
    depth = np.concatenate([d[np.isfinite(d)] for d in depths])
    low, middle, high = np.percentile(depth, [10, 50, 90])
    return {
        'clip_frames_per_s': round(scenes * frames / clips_s, 1),
        'view_frames_per_s': round(scenes * frames / views_s, 1),
        'depth_p10_m': round(float(low), 2),
        'depth_p50_m': round(float(middle), 2),
        'depth_p90_m': round(float(high), 2),
        'sky_share': round(1 - depth.size / sum(d.size for d in depths), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', default='256x192')
    parser.add_argument('--frames', type=int, default=8)
    parser.add_argument('--scenes', type=int, default=3)
    options = parser.parse_args()
    width, height = (int(n) for n in options.size.split('x'))
    cv2.setNumThreads(1)
    start = time.process_time()
    load_atlas(0)
    load_atlas(1)
    pool_s = (time.process_time() - start) / 2
    families = {
        name: measure(family, options.scenes, options.frames, width, height)
        for name, family in {**FAMILIES, **TRAINING_FAMILIES}.items()
    }
    print(
        json.dumps(
            {'size': options.size, 'pool_of_textures_s': round(pool_s, 2), 'families': families},
            indent=2,
        )
    )


if __name__ == '__main__':
    main()
