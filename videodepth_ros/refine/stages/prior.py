# SPDX-License-Identifier: Apache-2.0
"""Stage 2: run the monocular prior on every frame, or take the depth of the recording."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from videodepth_ros.core.workspace import digest
from videodepth_ros.engines.store import cache_folder, sha256_of
from videodepth_ros.models.cards import is_card
from videodepth_ros.models.catalogue import card, weights_path
from videodepth_ros.refine.bag_depth import depth_unit_notes
from videodepth_ros.refine.blank_frames import blank_notes, find_blank_frames
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.depth_topic import choose_depth_topic
from videodepth_ros.refine.image_sequence import size_within
from videodepth_ros.refine.options import BLANK
from videodepth_ros.refine.plan import PRIOR_STAGE
from videodepth_ros.refine.prior_depth import PriorDepth, estimate_prior_depth, evict_cache
from videodepth_ros.refine.priors import NETWORKS, open_prior
from videodepth_ros.refine.stages.read import DecodedFrames, full_size_frames


def estimate_prior(job: JobContext, decoded: DecodedFrames) -> PriorDepth:
    """Estimate the depth of every frame.

    Networks of seconds a frame write to the user's cache, where the next job on the same frames
    finds their estimates; the others write to the work folder.
    """
    settings, images = job.settings, decoded.images
    is_blank = None if settings.prior == 'bag' else find_blank_frames(images.images.open())
    size = size_within(images.size, settings.max_pixels)
    is_slow = settings.prior in NETWORKS
    folder = cache_folder() / 'estimates' if is_slow else job.work.folder
    depth_source = settings.depth_topic, settings.depth_unit_m
    key = digest(images.key, _prior_key(settings.prior), depth_source, size, BLANK)
    prior_depth = PriorDepth.at(folder / f'estimates-{key}', size)
    if not prior_depth.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(
            open_prior(
                settings.prior,
                bag=job.bag.path,
                engine=settings.engine,
                depth_topic=settings.depth_topic,
                depth_stamps=decoded.depth_stamps,
                depth_unit_m=settings.depth_unit_m,
                rectify=settings.rectify,
            )
        ) as prior:
            if prior.notice:
                job.log(prior.notice)
            estimate_prior_depth(
                full_size_frames(job, decoded),
                prior,
                prior_depth,
                job.on_step(PRIOR_STAGE),
                resume=is_slow,
                is_blank=is_blank,
            )
        if is_slow:
            evict_cache(folder)
    job.meter.mark_done(PRIOR_STAGE)
    return prior_depth


def _prior_key(prior: str) -> tuple[str, ...]:
    """Return what determines a prior: its name, and the files of a network of the user."""
    if not is_card(prior):
        return (prior,)
    return prior, sha256_of(Path(prior).expanduser(), weights_path(card(prior)))


def depth_notes(job: JobContext, decoded: DecodedFrames, prior: PriorDepth) -> tuple[str, ...]:
    """Return notes on blank frames, and on the depth of the recording where that is the prior."""
    settings = job.settings
    if settings.prior != 'bag':
        return blank_notes(find_blank_frames(decoded.images.images.open()))
    topic = choose_depth_topic(job.bag, settings.depth_topic).name
    return depth_unit_notes(prior.values, topic, settings.depth_unit_m)
