# SPDX-License-Identifier: Apache-2.0
"""The thread that follows a frame from message to message."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger

from videodepth_ros.core.errors import Cancelled, ConfigError, InputError
from videodepth_ros.frames import Frame
from videodepth_ros.nodes.inputs import Arrival, CameraInput
from videodepth_ros.nodes.lifecycle import described
from videodepth_ros.nodes.parameters import LiveParameters
from videodepth_ros.nodes.publishers import Outputs
from videodepth_ros.nodes.record import Output, Record
from videodepth_ros.stream.mailbox import Mailbox
from videodepth_ros.stream.session import DepthSession, StepResult

LOOK_UP_S = 0.1
"""How often an idle worker looks whether it should end or open an engine ahead of time."""


BUILD_LOG_PERIOD_S = 15.0
"""The log tells so often how far a build is; /diagnostics tells it with every status."""


@dataclass(frozen=True)
class Stream:
    """What the node and its worker share of one camera's stream."""

    mailbox: Mailbox[Arrival]
    camera: CameraInput
    session: DepthSession
    outputs: Outputs
    record: Record
    clock: Clock
    logger: RcutilsLogger


class Worker:
    """Takes images from the mailbox, computes and publishes; lives from configure to cleanup.

    ``failure`` is what stopped it: the node deactivates then, and ``resume`` lets it try again.
    ``opening`` says how far the opening of an engine is; empty while none is being opened.
    ``has_built`` is whether an engine was opened, for those who want nothing else.
    """

    def __init__(self, stream: Stream, parameters: LiveParameters) -> None:
        self.parameters = parameters
        self.failure: Exception | None = None
        self.opening = ''
        self.has_built = False
        self.stream = stream
        self._unfit: tuple[int, int] | None = None
        self._stopping = threading.Event()
        # A daemon, for nothing can interrupt the loading of an engine when the process ends.
        self._thread = threading.Thread(target=self._run, name='depth', daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Accept images (again); after a failure with another engine."""
        if self.failure is not None:
            self.stream.session.close()
            self.failure = None
        self.stream.mailbox.reopen()

    def pause(self, timeout_s: float) -> None:
        """Accept no images, and wait until none is in flight; nothing is published afterwards."""
        self.stream.mailbox.close()
        deadline = time.monotonic() + timeout_s
        while self.stream.mailbox.counts.in_flight and time.monotonic() < deadline:
            time.sleep(0.005)

    def stop(self, timeout_s: float) -> bool:
        """End the thread and close the session; False if it is still busy after ``timeout_s``."""
        self._stopping.set()
        self.stream.mailbox.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def note_build(self, phase: str, fraction: float) -> None:
        """Be told how far the building of an engine is.

        raises  Cancelled to end the building when the thread should end
        """
        if self._stopping.is_set():
            raise Cancelled('the node is being cleaned up')
        self.opening = f'{phase}, {fraction:.0%}' if fraction else phase
        self.stream.logger.info(self.opening, throttle_duration_sec=BUILD_LOG_PERIOD_S)

    def _run(self) -> None:
        mailbox = self.stream.mailbox
        while not self._stopping.is_set():
            arrival = mailbox.take(LOOK_UP_S)
            try:
                if arrival is not None:
                    self._serve(arrival)
                elif mailbox.closed:
                    self._stopping.wait(LOOK_UP_S)  # a closed mailbox answers at once
                else:
                    self._open_ahead()
            except Cancelled:
                break
            except Exception as error:  # the border of the thread: whatever it is, the node tells
                self._fail(error)
        self.stream.session.close()

    def _fail(self, error: Exception) -> None:
        self.stream.record.last_error = described(error)
        self.stream.mailbox.close()
        self.failure = error

    def _serve(self, arrival: Arrival) -> None:
        mailbox = self.stream.mailbox
        try:
            arrival, frame = self._ready(arrival)
            outputs = self.stream.outputs
            result = self.stream.session.step(
                frame,
                with_confidence=outputs.demand.confidence,
                cloud_range_m=outputs.cloud_range_m(frame.stamp_ns, self.parameters),
            )
            self._tell(result)
            if mailbox.closed:
                mailbox.displace()
                return
            self._publish(arrival, frame, result)
        except InputError as error:
            mailbox.reject()
            self.stream.record.last_error = str(error)
            self.stream.logger.warning(f'image rejected: {error}', throttle_duration_sec=5.0)
            return
        except Cancelled:
            mailbox.displace()
            raise
        except Exception:
            mailbox.reject()
            raise
        mailbox.published()

    def _ready(self, arrival: Arrival) -> tuple[Arrival, Frame]:
        """Decode the image, and open the engine for its size; that takes long, so look again."""
        frame = self.stream.camera.decode(arrival)
        if self.stream.session.is_open_for(*frame.size):
            return arrival, frame
        self._open(*frame.size)
        newest = self.stream.mailbox.take_newer(arrival)
        return newest, frame if newest is arrival else self.stream.camera.decode(newest)

    def _open_ahead(self) -> None:
        """Open the engine before the first image, where the calibration tells its size."""
        size = self.stream.camera.announced_size
        if size is None or size == self._unfit or self.stream.session.spec is not None:
            return
        try:
            self._open(*size)
        except InputError:
            self._unfit = size  # if the images are like that, each of them will tell

    def _open(self, width: int, height: int) -> None:
        logger, begin_s = self.stream.logger, time.monotonic()
        logger.info(f'opening {self.parameters.model} for images of {width}x{height}')
        self.opening = f'{self.parameters.model} at {width}x{height}'
        try:
            spec = self.stream.session.open(width, height).spec
        except InputError as error:
            if self.parameters.build_only:  # no image of another size is waited for
                raise ConfigError(str(error)) from error
            raise
        finally:
            self.opening = ''
        logger.info(
            f'{spec.model} runs as {spec.engine} {spec.precision} on {spec.device} at '
            f'{spec.width}x{spec.height}, opened in {time.monotonic() - begin_s:.1f} s'
        )
        for note in spec.notes:
            logger.info(note)
        self.has_built = True

    def _publish(self, arrival: Arrival, frame: Frame, result: StepResult) -> None:
        stream = self.stream
        stream.outputs.publish(result, frame, self.parameters)
        now_s = time.monotonic()
        age_s = (stream.clock.now().nanoseconds - frame.stamp_ns) * 1e-9
        stream.record.frame_went(
            Output(
                frame.stamp_ns,
                frame.frame_id,
                result.depth.scale_source,
                now_s,
                age_s,
                now_s - arrival.steady_s,
                result.engine_s,
            )
        )

    def _tell(self, result: StepResult) -> None:
        if result.reset is not None:
            self.stream.record.was_reset(result.reset)
            self.stream.logger.info(
                f'the stream starts afresh: {result.reset.value}', throttle_duration_sec=1.0
            )
