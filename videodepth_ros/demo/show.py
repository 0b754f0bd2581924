# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end: sample, live run, evaluation, pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.demo.frames import DemoFrame, DemoFrames, merge
from videodepth_ros.demo.graph import play_live
from videodepth_ros.demo.results import DemoFacts, demo_facts, to_markdown
from videodepth_ros.evaluation.accumulators import DepthAlignment
from videodepth_ros.evaluation.depth import evaluate_depth
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.pictures import (
    ColourRange,
    colour_range,
    colourise,
    render_cloud,
    resized,
    side_by_side,
    viewpoint_of,
    write_picture,
    write_video,
)

VIDEO_PANEL_PX, PICTURE_PANEL_PX = (400, 300), (480, 360)
CLOUD_STRIDE = 2
CLOUD_PERCENT = 85  # nearest share of the truth that both clouds show
VIDEO, PICTURE, BAG = 'depth.webm', 'depth_and_cloud.png', 'bag'
PAGE, FACTS = 'summary.md', 'summary.json'


@dataclass(frozen=True)
class DemoSettings:
    """Scene of the sample, and model and engine of the node."""

    scene: str
    seed: int
    seconds: float
    rate_hz: float
    model: str
    engine: str


def run_demo(
    folder: Path, sample: Path, settings: DemoSettings, log: Callable[[str], None]
) -> DemoFacts:
    """Play ``sample`` through the live node and write the results to ``folder``.

    log  called with one line for each step

    Raise VideoDepthError with the last line of its log if a process fails.
    """
    logs, recording, bag = folder / 'logs', folder / 'recording', folder / BAG
    for old in (recording, bag):
        shutil.rmtree(old, ignore_errors=True)
    logs.mkdir(parents=True, exist_ok=True)
    log('starting the live node, a recorder and a camera ...')
    live = play_live(sample, recording, logs, settings.seconds, settings.model, settings.engine)
    frames = DemoFrames(sample, recording, live.started_ns, live.offset_ns)
    log('drawing, and comparing with the ground truth ...')
    colours = colour_range(frame.truth_m for frame in frames)
    with ThreadPoolExecutor(1) as pool:
        video = pool.submit(
            write_video,
            folder / VIDEO,
            (_panels(frame, colours, VIDEO_PANEL_PX) for frame in frames),
            settings.rate_hz * len(live.depth_ages_ms()) / live.frames,
        )
        reports = [evaluate_depth(frames.pairs(), alignment) for alignment in DepthAlignment]
        video.result()
    write_picture(folder / PICTURE, _poster(frames, colours, len(live.depth_ages_ms())))
    merge(frames, bag)
    shutil.rmtree(recording)
    facts = demo_facts(
        settings.scene, settings.rate_hz, live, reports, (VIDEO, PICTURE, BAG, PAGE, FACTS)
    )
    (folder / PAGE).write_text(to_markdown(facts), encoding='utf-8')
    (folder / FACTS).write_text(json.dumps(asdict(facts), indent=2) + '\n', encoding='utf-8')
    return facts


def _panels(frame: DemoFrame, colours: ColourRange, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return image, depth and ground truth side by side, each of ``size``."""
    scale = f'{colours.near_m:.1f} m red to {colours.far_m:.1f} m blue'
    return side_by_side(
        [
            ('camera', resized(frame.image, *size)),
            (f'depth: {scale}', resized(colourise(frame.depth_m, colours), *size)),
            ('ground truth', resized(colourise(frame.truth_m, colours), *size)),
        ]
    )


def _poster(frames: DemoFrames, colours: ColourRange, count: int) -> NDArray[np.uint8]:
    """Return a late frame: its panels, and below them both clouds from the side."""
    frame = next(islice(frames, 2 * count // 3, None))
    camera = frames.camera()
    top = _panels(frame, colours, PICTURE_PANEL_PX)
    if camera is None:
        return top
    width, height = top.shape[1] // 2, top.shape[1] // 3
    known_m = frame.truth_m[np.isfinite(frame.truth_m)]
    far_m = float(np.percentile(known_m, CLOUD_PERCENT)) if known_m.size else colours.far_m
    points, colour = _cloud(frame.depth_m, frame.image, camera, far_m)
    true_points, true_colour = _cloud(frame.truth_m, frame.image, camera, far_m)
    view = viewpoint_of(true_points)
    clouds = side_by_side(
        [
            (
                'cloud of the depth, from the side',
                render_cloud(points, colour, width, height, view),
            ),
            (
                'cloud of the ground truth, from the same viewpoint',
                render_cloud(true_points, true_colour, width, height, view),
            ),
        ]
    )
    return np.vstack([top, clouds])


def _cloud(
    depth_m: NDArray[np.float32], image: NDArray[np.uint8], camera: Intrinsics, far_m: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return points (N, 3) and colours (N, 3) of a depth map up to a distance."""
    height, width = depth_m.shape
    points = backproject(depth_m, camera.scaled_to(width, height))
    points[depth_m > far_m] = np.nan
    grid = (slice(None, None, CLOUD_STRIDE),) * 2
    return points[grid].reshape(-1, 3), resized(image, width, height)[grid].reshape(-1, 3)
