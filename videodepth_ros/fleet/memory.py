# SPDX-License-Identifier: Apache-2.0
"""Memory of a refinement, expected from the head of a bag: by the plan that `refine` prints."""

from __future__ import annotations

import math

from videodepth_ros.alignment.options import PairGraphOptions
from videodepth_ros.alignment.pair_graph import build_pair_graph
from videodepth_ros.bags.camera_topics import find_camera_topics
from videodepth_ros.bags.frames import read_frames
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.core.errors import VideoDepthError
from videodepth_ros.fleet.options import COST, TaskCost
from videodepth_ros.fleet.place import Place
from videodepth_ros.refine.image_sequence import Size, size_within
from videodepth_ros.refine.plan import JobPlan
from videodepth_ros.refine.settings import Pairs, RefineSettings
from videodepth_ros.refine.stages.align import needs_alignment


def refine_memory_mb(
    place: Place, settings: RefineSettings, processes: int, cost: TaskCost = COST
) -> float:
    """Return the memory that a refinement of a bag will need beside its process [MB].

    A bag that is not of this file system, or cannot be read, is taken as a usual one.
    """
    size, frames = cost.usual_size, cost.usual_frames
    if place.is_local:
        try:
            size, frames = _head(place, settings)
        except (VideoDepthError, OSError):
            pass  # the task will fail with the reason
    graph = None
    if settings.chosen_pairs is not Pairs.NONE:
        graph = build_pair_graph(frames, PairGraphOptions(clip_length=settings.clip))
    plan = JobPlan(
        frames,
        size,
        size_within(size, settings.max_pixels),
        0.0,
        settings.method,
        settings.prior,
        graph,
        needs_alignment(settings),
        settings.stereo,
        settings.processes or processes,
    )
    return plan.memory_mb


def _head(place: Place, settings: RefineSettings) -> tuple[Size, int]:
    """Return the size of the first image of a bag, and the number of frames of a job."""
    with open_bag(place.local) as bag:
        topics = find_camera_topics(bag.topics, settings.image_topic, settings.camera_info_topic)
        frames = read_frames(bag, topics.image.name, settings.camera_info_topic)
        size = next(frame.size for frame in frames)
    count = math.ceil(topics.image.count / settings.stride)
    return size, max(2, min(count, settings.frames or count))
