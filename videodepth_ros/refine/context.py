# SPDX-License-Identifier: Apache-2.0
"""What the stages of a job share: the recording, the settings, and where progress goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from videodepth_ros.bags.camera_topics import CameraTopics
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.parallel import current_pool
from videodepth_ros.core.progress import ProgressMeter
from videodepth_ros.core.stage_clock import StageClock
from videodepth_ros.core.workspace import WorkFolder
from videodepth_ros.refine.settings import RefineSettings
from videodepth_ros.sfm.lens import Lens


@dataclass(frozen=True)
class JobContext:
    """The surroundings of a stage.

    bag     recording, open for reading
    topics  image and camera_info topic of the camera
    work    intermediate results; a stage that finds its own there returns them
    meter   counts steps; raises Cancelled
    log     takes a line for the operator
    clock   measures the stages
    lens    by which the images are rectified, calibrated from the recording; None: by camera_info
    """

    bag: BagReader
    topics: CameraTopics
    settings: RefineSettings
    work: WorkFolder
    meter: ProgressMeter
    log: Callable[[str], None]
    clock: StageClock = field(default_factory=StageClock)
    lens: Lens | None = None

    @property
    def processes(self) -> int:
        """Number of processes that align clips."""
        return self.settings.processes or current_pool().processes

    def on_step(self, stage: str) -> Callable[[], None]:
        """Return the callback that counts one step of a stage."""
        return partial(self.meter.advance, stage)
