# SPDX-License-Identifier: Apache-2.0
"""The thread that computes: from image message to published depth."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CameraInfo

from videodepth_ros.core.errors import Cancelled, ConfigError, InputError
from videodepth_ros.engines.engine import EngineSpec
from videodepth_ros.frames import Frame
from videodepth_ros.nodes.camera_subscription import ReceivedImage
from videodepth_ros.nodes.depth_publishers import DepthPublishers
from videodepth_ros.nodes.gpu_monitor import GpuFigures, GpuMonitor
from videodepth_ros.nodes.image_decoder import ImageDecoder
from videodepth_ros.nodes.lifecycle import error_text
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions
from videodepth_ros.nodes.stream_statistics import (
    PublishedFrame,
    StageTimes,
    StatisticsSummary,
    StreamStatistics,
)
from videodepth_ros.stream.mailbox import Mailbox, MailboxCounts
from videodepth_ros.stream.masks import without_robot, without_uncertain
from videodepth_ros.stream.parameters import session_settings
from videodepth_ros.stream.session import DepthSession, ResetReason, StepResult

METRIC_STEP = 'publish camera_info for a model that uses it, or set scale.source or scale.prior'
"""What makes relative depth metric."""


@dataclass(frozen=True)
class WorkerState:
    """State of a worker at one time.

    counts           frames since the node was configured
    camera_info      latest calibration; None: none was received
    spec             open engine; None before the first
    last_published   None before the first
    last_received_s  on the steady clock
    period_s         median of the last periods of the images; 0: unknown
    last_error       why the last image was rejected, or why the worker failed
    opening          progress of the engine that is being opened; empty: none is
    has_built        an engine has been opened
    has_failed       the worker accepts no images until ``resume``
    is_rejecting     the last image that was processed was rejected
    lens_fault       why images are not rectified though they show distortion; empty: they are
    sample_note      bits that 16-bit images use, in words; empty: all
    is_calibration_unusable  camera_info does not fit the last image
    gpu              figures of the GPU; None: the network is not on one, or they are not known
    """

    counts: MailboxCounts
    camera_info: CameraInfo | None
    spec: EngineSpec | None
    last_published: PublishedFrame | None
    last_received_s: float
    period_s: float
    last_error: str
    opening: str
    has_built: bool
    has_failed: bool
    is_rejecting: bool = False
    lens_fault: str = ''
    sample_note: str = ''
    is_calibration_unusable: bool = False
    gpu: GpuFigures | None = None


class DepthWorker:
    """Decode, compute and publish the newest image in a thread, from configure to cleanup.

    Its methods are called by the thread of the executor, except ``report_build``.
    """

    def __init__(
        self,
        session: DepthSession,
        decoder: ImageDecoder,
        publishers: DepthPublishers,
        parameters: LiveParameters,
        clock: Clock,
        logger: RcutilsLogger,
        options: LiveNodeOptions = LIVE,
    ) -> None:
        """Start the thread; no image is accepted before ``resume``."""
        self._session = session
        self._decoder = decoder
        self._publishers = publishers
        self._parameters = parameters
        self._clock = clock
        self._logger = logger
        self._options = options
        self._mailbox: Mailbox[ReceivedImage] = Mailbox()
        self._mailbox.close()
        self._statistics = StreamStatistics(options.statistics_window_s)
        self._gpu = GpuMonitor(options)
        self._opening = ''
        self._has_built = self._has_failed = self._is_rejecting = False
        self._last_error = ''
        self._unusable_size: tuple[int, int] | None = None
        self._stopping = threading.Event()
        # A daemon, as nothing interrupts the loading of an engine when the process ends.
        self._thread = threading.Thread(target=self._run, name='depth', daemon=True)
        self._thread.start()

    @property
    def state(self) -> WorkerState:
        """State of now."""
        spec = self._session.spec
        return WorkerState(
            self._mailbox.counts,
            self._decoder.calibrations.latest,
            spec,
            self._statistics.last_published,
            self._statistics.last_received_s,
            self._statistics.period_s,
            self._last_error,
            self._opening,
            self._has_built,
            self._has_failed,
            self._is_rejecting,
            self._decoder.lens_fault,
            self._decoder.sample_note,
            self._decoder.is_calibration_unusable,
            self._gpu.figures(spec.gpu) if spec else None,
        )

    @property
    def statistics(self) -> StatisticsSummary:
        """Rates, ages and resets of now."""
        return self._statistics.summary()

    @property
    def has_subscribers(self) -> bool:
        """Whether an output has a subscriber."""
        return bool(self._publishers.demand)

    @property
    def needs_transforms(self) -> bool:
        """Whether an output with a subscriber is computed with transforms."""
        return self._publishers.demand.obstacles

    def set_camera_info(self, camera_info: CameraInfo | None) -> None:
        """Use a calibration from the next image on."""
        self._decoder.calibrations.put(camera_info)

    def submit(self, image: ReceivedImage) -> None:
        """Queue an image; it displaces one that waits."""
        self._statistics.on_received(image.steady_s)
        self._mailbox.put(image)

    def request_reset(self, reason: ResetReason) -> None:
        """Reset the recurrent state before the next image."""
        self._session.request_reset(reason)
        if reason is ResetReason.CLOCK_JUMP:
            self._statistics.clear_window()

    def apply(self, parameters: LiveParameters) -> None:
        """Use new values of dynamic parameters from the next image on."""
        self._session.settings = session_settings(parameters)
        self._parameters = parameters

    def resume(self) -> None:
        """Accept images; after a failure with a new engine."""
        if self._has_failed:
            self._session.close()
            self._has_failed = False
        self._statistics.clear_window()
        self._mailbox.reopen()

    def pause(self, timeout_s: float) -> None:
        """Accept no images and wait for the one in flight; nothing is published afterwards."""
        self._mailbox.close()
        deadline = time.monotonic() + timeout_s
        while self._mailbox.counts.in_flight and time.monotonic() < deadline:
            time.sleep(0.005)

    def stop(self, timeout_s: float) -> bool:
        """End the thread, close session and publishers; False if it still runs at the timeout."""
        self._stopping.set()
        self._mailbox.close()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._publishers.close()
        self._gpu.close()
        return True

    def report_build(self, phase: str, fraction: float) -> None:
        """Note the progress of an engine build, in the thread of the worker.

        Raise Cancelled to end the build when the worker is to stop.
        """
        if self._stopping.is_set():
            raise Cancelled('the node is being cleaned up')
        self._opening = f'{phase}, {fraction:.0%}' if fraction else phase
        self._logger.info(self._opening, throttle_duration_sec=self._options.build_log_period_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            image = self._mailbox.take(self._options.worker_period_s)
            try:
                if image is not None:
                    self._process(image)
                elif self._mailbox.closed:
                    self._stopping.wait(self._options.worker_period_s)  # take returned at once
                else:
                    self._open_ahead()
            except Cancelled:
                break
            except Exception as error:  # the border of the thread: the node reports it
                self._last_error = error_text(error)
                self._mailbox.close()
                self._has_failed = True
        self._session.close()

    def _process(self, image: ReceivedImage) -> None:
        """Turn one image into published depth and count what became of it."""
        mailbox, times_s = self._mailbox, [time.monotonic()]
        try:
            image, frame = self._decode(image)
            times_s.append(time.monotonic())
            result = self._step(frame)
            times_s.append(time.monotonic())
            if mailbox.closed:
                mailbox.displace()
                return
            self._publish(image, frame, result, times_s)
        except InputError as error:
            mailbox.reject()
            self._last_error, self._is_rejecting = str(error), True
            self._logger.warning(
                f'image rejected: {error}', throttle_duration_sec=self._options.log_period_s
            )
            return
        except Cancelled:
            mailbox.displace()
            raise
        except Exception:
            mailbox.reject()
            raise
        self._is_rejecting = False
        mailbox.published()

    def _decode(self, image: ReceivedImage) -> tuple[ReceivedImage, Frame]:
        """Decode the image and open the engine for its size; then the newest image, if any."""
        frame = self._decoder.decode(image.message)
        if self._session.is_open_for(*frame.size):
            return image, frame
        self._open(*frame.size)
        newest = self._mailbox.take_newer(image)
        return newest, frame if newest is image else self._decoder.decode(newest.message)

    def _step(self, frame: Frame) -> StepResult:
        parameters = self._parameters
        result = self._session.step(
            frame,
            with_confidence=self._publishers.needs_confidence(parameters),
            cloud_range_m=self._publishers.cloud_range_m(frame.stamp_ns, parameters),
        )
        if result.reset is not None:
            self._statistics.on_reset(result.reset)
            self._logger.info(
                f'recurrent state reset: {result.reset.value}', throttle_duration_sec=1.0
            )
        if parameters.depth_require_metric and not result.depth.scale_source.is_metric:
            raise InputError(f'depth is relative and depth.require_metric is true: {METRIC_STEP}')
        certain = without_uncertain(result, parameters.depth_min_confidence)
        return without_robot(certain, parameters.mask_file, frame.size)

    def _publish(
        self, image: ReceivedImage, frame: Frame, result: StepResult, times_s: list[float]
    ) -> None:
        """Publish a frame and record its times.

        times_s  steady time at which it was taken, decoded and computed
        """
        self._publishers.publish(result, frame, self._parameters)
        now_s = time.monotonic()
        wait_s, decode_s, step_s, publish_s = np.diff([image.steady_s, *times_s, now_s]).tolist()
        network_s = result.engine_s
        self._statistics.on_published(
            PublishedFrame(
                frame.stamp_ns,
                frame.frame_id,
                result.depth.scale_source,
                now_s,
                age_s=(self._clock.now().nanoseconds - frame.stamp_ns) * 1e-9,
                latency_s=now_s - image.steady_s,
                stages=StageTimes(wait_s, decode_s, network_s, step_s - network_s, publish_s),
            )
        )

    def _open_ahead(self) -> None:
        """Open the engine before the first image if the calibration gives its size."""
        size = self._decoder.expected_size
        if size is None or size == self._unusable_size or self._session.spec is not None:
            return
        try:
            self._open(*size)
        except InputError:
            self._unusable_size = size  # images of this size are rejected one by one

    def _open(self, width: int, height: int) -> None:
        model, begin_s = self._parameters.model, time.monotonic()
        self._logger.info(f'opening {model} for images of {width}x{height}')
        self._opening = f'{model} at {width}x{height}'
        try:
            spec = self._session.open(width, height).spec
        except InputError as error:
            if self._parameters.build_only:  # there is no image of another size to wait for
                raise ConfigError(str(error)) from error
            raise
        finally:
            self._opening = ''
        self._logger.info(
            f'{spec.model} runs on {spec.engine} {spec.precision}, {spec.device}, at '
            f'{spec.width}x{spec.height}; opened in {time.monotonic() - begin_s:.1f} s'
        )
        for note in spec.notes:
            self._logger.info(note)
        self._has_built = True
