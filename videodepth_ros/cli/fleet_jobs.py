# SPDX-License-Identifier: Apache-2.0
"""The jobs that ``videodepth fleet`` runs in its workers: refine, run-bag and eval of one bag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.evaluate import EvaluateOptions, evaluate
from videodepth_ros.core.errors import VideoDepthError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.core.parallel import current_pool
from videodepth_ros.fleet.options import SUMMARY
from videodepth_ros.fleet.task import JobFacts

if TYPE_CHECKING:
    from videodepth_ros.cli.run_bag import RunBagOptions
    from videodepth_ros.evaluation.report import Evaluation
    from videodepth_ros.pictures import Image
    from videodepth_ros.refine.settings import RefineSettings


def refine_job(bag: Path, out: Path, settings: RefineSettings, truth: Path | None) -> JobFacts:
    """Refine a bag, and compare the result with its ground truth if there is one."""
    from videodepth_ros.refine.job import refine_bag

    facts = refine_bag(bag, out, settings)
    figures: dict[str, float | None] = {
        'frames': facts.frames,
        'left_out': facts.left_out,
        'duration_s': facts.duration_s,
        'path_length_m': facts.path_length_m,
    }
    lost = (f'lost: {facts.lost}',) if facts.lost else ()
    errors, notes = _errors(out, truth, facts.scale_source)
    return JobFacts(
        facts.scale_source,
        {**figures, **errors},
        (*lost, *facts.notes, *notes),
        facts.outputs,
        preview_jpeg(bag, out),
    )


def run_bag_job(bag: Path, out: Path, settings: RunBagOptions, truth: Path | None) -> JobFacts:
    """Compute streaming depth of a bag, and compare it with its ground truth if there is one."""
    from videodepth_ros.cli.run_bag import run_bag

    threads = settings.threads or current_pool().processes
    facts = run_bag(bag, out, replace(settings, threads=threads), Interruption())
    figures: dict[str, float | None] = {
        'frames': facts.frames,
        'left_out': facts.rejected,
        'duration_s': facts.duration_s,
        'rate_hz': facts.rate_hz,
        'resets': sum(facts.resets.values()),
    }
    lost = (f'lost: {facts.lost}',) if facts.lost else ()
    errors, notes = _errors(out, truth, facts.scale_source or 'none')
    return JobFacts(
        facts.scale_source,
        {**figures, **errors},
        (*lost, *facts.rejections, *facts.notes, *notes),
        facts.outputs,
        preview_jpeg(bag, out),
    )


def eval_job(bag: Path, out: Path, settings: EvaluateOptions, truth: Path | None) -> JobFacts:
    """Compare a bag with its ground truth, and write the errors of all frames to a file."""
    from videodepth_ros.evaluation.report import to_json

    evaluation = evaluate(bag, truth or bag, settings)
    out.mkdir(parents=True)
    (out / 'errors.json').write_text(to_json(evaluation))
    frames = evaluation.depth or evaluation.trajectory
    figures = {'frames': frames.frames if frames else None, **_figures(evaluation)}
    outputs = (str(out / 'errors.json'),)
    return JobFacts(None, figures, (), outputs, preview_jpeg(truth or bag, bag))


def _errors(
    out: Path, truth: Path | None, scale_source: str
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Return the errors of a result, and a note if it cannot be compared."""
    if truth is None:
        return {}, ()
    align = 'scale' if scale_source in ('none', 'model') else 'none'
    try:
        return _figures(evaluate(out, truth, EvaluateOptions(align=align))), ()
    except VideoDepthError as error:
        return {}, (f'not evaluated: {error}',)


def _figures(evaluation: Evaluation) -> dict[str, float | None]:
    depth, trajectory = evaluation.depth, evaluation.trajectory
    figures: dict[str, float | None] = {}
    if depth:
        figures |= {
            'abs_rel': depth.errors.abs_rel,
            'rmse_m': depth.errors.rmse_m,
            'delta_1_25': depth.errors.delta_1_25,
            'scale_drift': depth.scale_drift,
            'flicker': depth.flicker,
        }
    if trajectory:
        figures |= {'ate_rmse_m': trajectory.ate_rmse_m, 'ate_max_m': trajectory.ate_max_m}
    return figures


def preview_jpeg(bag: Path, depth_bag: Path) -> bytes:
    """Return a frame of a bag beside its depth, as JPEG; empty if they have none in common.

    A frame half-way of the preview of a refinement, else the first one with depth.
    """
    import cv2

    video = depth_bag / 'preview.mp4'
    picture = _half_way(video) if video.exists() else _first_pair(bag, depth_bag)
    if picture is None:
        return b''
    height, width = picture.shape[:2]
    size = max(1, round(width * SUMMARY.preview_height_px / height)), SUMMARY.preview_height_px
    small = cv2.cvtColor(
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR
    )
    quality = [cv2.IMWRITE_JPEG_QUALITY, SUMMARY.jpeg_quality]
    return cv2.imencode('.jpg', small, quality)[1].tobytes()


def _half_way(path: Path) -> Image | None:
    """Return the frame in the middle of a video; None if it cannot be decoded."""
    import cv2
    import numpy as np

    video = cv2.VideoCapture(str(path))
    video.set(cv2.CAP_PROP_POS_FRAMES, int(video.get(cv2.CAP_PROP_FRAME_COUNT)) // 2)
    found, picture = video.read()
    video.release()
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8) if found else None


def _first_pair(bag: Path, depth_bag: Path) -> Image | None:
    """Return the first image of a bag beside its depth in another bag; None without depth."""
    import numpy as np

    from videodepth_ros.bags.camera_topics import find_camera_topics
    from videodepth_ros.bags.frames import read_frames
    from videodepth_ros.bags.reader import open_bag
    from videodepth_ros.cli.depth_pairs import PREDICTED_DEPTH, depth_topic
    from videodepth_ros.messages.image import decode_depth
    from videodepth_ros.messages.transforms import stamp_ns
    from videodepth_ros.pictures import colour_range, colourise, resized

    with open_bag(bag) as images, open_bag(depth_bag) as depths:
        topic = depth_topic(depths, None, PREDICTED_DEPTH)
        if topic is None:
            return None
        message = next((one for _, _, one in depths.messages([topic])), None)
        if message is None:
            return None
        stamp, depth_m = stamp_ns(message.header.stamp), decode_depth(message)
        coloured = colourise(depth_m, colour_range([depth_m]))
        try:
            topics = find_camera_topics(images.topics, None, None)
        except VideoDepthError:  # several cameras, or none
            return coloured
        frames = read_frames(images, topics.image.name, None)
        frame = next((one for one in frames if one.stamp_ns >= stamp), None)
        if frame is None:
            return coloured
        height, width = depth_m.shape
        return np.hstack([resized(frame.image, width, height), coloured])
