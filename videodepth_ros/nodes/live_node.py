# SPDX-License-Identifier: Apache-2.0
"""The live node: camera images in, depth, cloud and diagnostics out.

The executor's thread only receives, looks after the graph and tells how things stand; a worker
thread takes the newest image, computes and publishes (see ``worker.py``). Opening an engine may
take minutes, so the worker does that too, when the size of the images is known: from camera_info,
or else from the first image.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, JumpHandle, JumpThreshold
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn as Result
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger
from videodepth.msg import Status

from videodepth_ros.core.errors import ConfigError, VideoDepthError
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.open import open_engine
from videodepth_ros.models.catalogue import ModelCard, card, weights_path
from videodepth_ros.models.mono import MonoPrior, open_mono_prior
from videodepth_ros.nodes import process
from videodepth_ros.nodes.diagnostics import Watchman, diagnostic, resident_memory_mb, write_stream
from videodepth_ros.nodes.inputs import Arrival, CameraInput
from videodepth_ros.nodes.lifecycle import ToldNode, described, told
from videodepth_ros.nodes.parameters import DECLARATIONS, LiveParameters, live_parameters
from videodepth_ros.nodes.publishers import Outputs
from videodepth_ros.nodes.record import Record
from videodepth_ros.nodes.worker import Stream, Worker
from videodepth_ros.stream.anchor import MetricAnchor
from videodepth_ros.stream.feature_mode import is_enabled
from videodepth_ros.stream.mailbox import Mailbox
from videodepth_ros.stream.session import DepthSession, ResetReason, SessionSettings

WATCH_PERIOD_S = 0.1
"""How often the node looks who publishes, who subscribes, and whether the worker failed."""

PATIENCE_S = 2.0
"""How long a transition waits for the frame in flight."""


class LiveNode(ToldNode):
    """One camera's depth, as a lifecycle node.

    configure   checks parameters and weights, makes the outputs, starts the worker
    activate    listens to the camera
    deactivate  stops listening; the engine and the outputs stay
    cleanup     frees the engine; parameters that are not dynamic may change now
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__('videodepth', **node_arguments)
        self.parameters = LiveParameters()
        self._worker: Worker | None = None  # from configure to cleanup
        self._anchor: MetricAnchor | None = None
        self._jumps: JumpHandle | None = None
        self._active = False
        self._wanted = False  # whether somebody would use a depth
        self._wanted_since_s = 0.0
        self._refusal = ''  # why the last configure, or what came later, failed
        self.built: bool | None = None  # whether what build_only asks for is there; None: not yet
        self._watchman = Watchman(self.get_logger())
        for declaration in DECLARATIONS:
            self.declare_parameter(
                declaration.name, declaration.default, declaration.descriptor('the next configure')
            )
        self._read_parameters()
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._status_publisher = self.create_publisher(Status, '~/status', 5)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 5)
        self.create_service(Trigger, '~/reset', self._on_reset)
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=self._steady_clock)
        self._status_timer = self.create_timer(
            self.parameters.status_period_s, self._report, clock=self._steady_clock
        )

    # Where the depth comes from; a node for tests and benchmarks puts something else here.

    def model_card(self) -> ModelCard:
        """Return the model that the parameters name.

        raises  ModelError if its weights are not here
        """
        model = card(self.parameters.model)
        weights_path(model)
        return model

    def open_engine(self, width: int, height: int) -> Engine:
        """Open the engine that the parameters name, for a network input of that size."""
        wanted = self.parameters
        return open_engine(
            wanted.model,
            wanted.engine,
            width,
            height,
            threads=wanted.threads,
            report=self.note_build,
        )

    def note_build(self, phase: str, fraction: float) -> None:
        """Be told by the worker's thread how far the building of an engine is.

        raises  Cancelled if the engine is not wanted any more
        """
        if self._worker is not None:
            self._worker.note_build(phase, fraction)

    def open_prior(self) -> MonoPrior | None:
        """Open what the parameters name as the prior that tells metres; None if they name none.

        raises  ModelError, DeviceError if its weights or what computes it are not here
        """
        name = self.parameters.scale_prior
        return None if name == 'none' else open_mono_prior(name)

    # Transitions.

    @told
    def on_configure(self, state: LifecycleState) -> Result:
        """Check everything that can be checked before an image comes."""
        try:
            self._read_parameters()
            model = self.model_card()
            prior = self.open_prior()
        except VideoDepthError as error:
            self.tell_failure(error)
            return Result.FAILURE
        self._refusal, self.built = '', None
        for notice in filter(None, (model.notice, prior and prior.notice)):
            self.get_logger().warning(notice)
        self._anchor = MetricAnchor(prior) if prior else None
        mailbox: Mailbox[Arrival] = Mailbox()
        mailbox.close()
        session = DepthSession(
            model, self.open_engine, session_settings(self.parameters), self._anchor
        )
        camera = CameraInput(self, self.parameters, self._on_image)
        stream = Stream(
            mailbox, camera, session, Outputs(self), Record(), self.get_clock(), self.get_logger()
        )
        self._worker = Worker(stream, self.parameters)
        self._status_timer.timer_period_ns = int(self.parameters.status_period_s * 1e9)
        return Result.SUCCESS

    @told
    def on_activate(self, state: LifecycleState) -> Result:
        """Listen to the camera."""
        assert self._worker is not None
        self._watchman.start_afresh()
        self._worker.stream.record.start_afresh()
        self._worker.resume()
        longest = Duration(nanoseconds=int(self.parameters.max_gap_s * 1e9))
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=longest, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_clock_jump,
        )
        self._active, self._wanted = True, False
        if not self.parameters.keep_state_warm:
            self.get_logger().info('active: takes images as soon as somebody subscribes')
        self._watch()
        return super().on_activate(state)

    @told
    def on_deactivate(self, state: LifecycleState) -> Result:
        """Stop listening; nothing is published afterwards."""
        self._stop_listening()
        return super().on_deactivate(state)

    @told
    def on_cleanup(self, state: LifecycleState) -> Result:
        """Cancel a build and free the engine; fails while one is loaded, which nothing stops."""
        if not self.close():
            self.get_logger().error('the engine is still being loaded; clean up when it is done')
            return Result.FAILURE
        return Result.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> Result:
        """End everything, from whatever state."""
        self.close()
        return Result.SUCCESS

    def on_error(self, state: LifecycleState) -> Result:
        """Go back to unconfigured after a transition that failed with an exception."""
        return Result.SUCCESS if self.close() else Result.FAILURE

    def tell_failure(self, error: Exception) -> None:
        """Say why a transition failed, in the log and in every status until one succeeds."""
        self._refusal, self.built = described(error), False
        self.get_logger().error(self._refusal)

    def close(self) -> bool:
        """Stop the stream and free the engine; False if the engine is still being loaded."""
        self._stop_listening()
        if self._worker is None:
            return True
        if not self._worker.stop(PATIENCE_S):
            return False
        if self._anchor is not None:
            self._anchor.close(PATIENCE_S)
            self._anchor = None
        self._worker.stream.outputs.close()
        self._worker = None
        return True

    def _stop_listening(self) -> None:
        self._active = False
        if self._jumps is not None:
            self._jumps.unregister()
            self._jumps = None
        if self._worker is not None:
            self._worker.stream.camera.close()
            self._worker.pause(PATIENCE_S)

    # What comes in.

    def _on_image(self, arrival: Arrival) -> None:
        if self._worker is not None:
            self._worker.stream.record.image_came(arrival.steady_s)
            self._worker.stream.mailbox.put(arrival)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._worker is not None and self._active:
            self._worker.stream.session.request_reset(ResetReason.REQUESTED)
            response.success, response.message = True, 'the next image starts the stream afresh'
        else:
            response.message = 'there is no stream: activate the node first'
        return response

    def _on_clock_jump(self, _: Any) -> None:
        if self._worker is not None:
            self._worker.stream.session.request_reset(ResetReason.CLOCK_JUMP)
            self._worker.stream.record.start_afresh()

    # Parameters.

    def _read_parameters(self) -> None:
        self.parameters = live_parameters(
            {d.name: self.get_parameter(d.name).value for d in DECLARATIONS}
        )

    def _check_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        declared = {declaration.name: declaration for declaration in DECLARATIONS}
        for change in changes:
            declaration = declared.get(change.name)
            if declaration is None:
                continue
            try:
                declaration.check(change.value)
            except ConfigError as error:
                return SetParametersResult(successful=False, reason=str(error))
            is_new = change.value != self.get_parameter(change.name).value
            if is_new and not declaration.dynamic and self._worker is not None:
                return SetParametersResult(
                    successful=False,
                    reason=(
                        f'{change.name} cannot change while the node is configured: '
                        'deactivate, clean up, set it, and configure again'
                    ),
                )
        return SetParametersResult(successful=True)

    def _apply_parameters(self, _: list[Parameter]) -> None:
        self._read_parameters()
        if self._worker is not None:
            self._worker.stream.session.settings = session_settings(self.parameters)
            self._worker.parameters = self.parameters

    # How things stand.

    def _watch(self) -> None:
        if self._worker is None or not self._active:
            return
        stream = self._worker.stream
        if self._worker.failure is not None:
            self.get_logger().error(f'deactivated: {stream.record.last_error}')
            self.trigger_deactivate()  # the operator mends it and activates again
            self._report()
            self.built = False
            return
        if self._worker.has_built and not self.built:
            self.built = True
            if self.parameters.build_only:
                self.get_logger().info('the engine is there; build_only is true')
        wanted = self.parameters.keep_state_warm or bool(stream.outputs.demand)
        if wanted and not self._wanted:
            self._wanted_since_s = time.monotonic()
        self._wanted = wanted
        stream.camera.refresh(self._wanted)

    def _state(self) -> str:
        if self._refusal or (self._worker is not None and self._worker.failure is not None):
            return Status.FAILED
        if self._worker is None or not self._active:
            return Status.INACTIVE
        if self._worker.opening:
            return Status.OPENING
        if not self._wanted:
            return Status.IDLE
        came = self._worker.stream.mailbox.counts.received > 0
        return Status.RUNNING if came and not self._is_silent() else Status.WAITING

    def _is_silent(self) -> bool:
        """Tell whether images are wanted and none has come for too long."""
        if self._worker is None or not self._active or not self._wanted:
            return False
        since_s = max(self._worker.stream.record.last_input_s, self._wanted_since_s)
        return time.monotonic() - since_s > self.parameters.image_timeout_s

    def status(self) -> Status:
        """Return how things stand."""
        status = Status(
            state=self._state(),
            model=self.parameters.model,
            scale_factor=self.parameters.scale_factor,
            last_error=self._refusal,
            memory_mb=resident_memory_mb(),
        )
        if self._worker is not None:
            write_stream(self._worker.stream, status)
        return status

    def _report(self) -> None:
        status = self.status()
        stream = self._worker.stream if self._worker is not None else None
        warnings = self._watchman.look(status, stream, self._is_silent())
        self._status_publisher.publish(status)
        opening = self._worker.opening if self._worker is not None else ''
        report = DiagnosticArray(
            status=[diagnostic(self.get_fully_qualified_name(), status, warnings, opening)]
        )
        report.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(report)


def session_settings(parameters: LiveParameters) -> SessionSettings:
    """Return what the session needs to know of the parameters."""
    model = card(parameters.model)
    return SessionSettings(
        max_gap_s=parameters.max_gap_s,
        max_pixels=parameters.max_pixels,
        output=parameters.output,
        max_range_m=parameters.max_range_m,
        edge_ratio=parameters.edge_ratio,
        scale_factor=parameters.scale_factor,
        guided=is_enabled(parameters.guided_edges, model.soft),
        steady=is_enabled(parameters.scale_steady, model.drifts),
    )


def run(make_node: Callable[[], LiveNode], arguments: list[str] | None = None) -> int:
    """Run one node until SIGINT or SIGTERM; return the exit code."""
    return process.run(lambda: [make_node()], arguments)


def main() -> int:
    """Run the live node with the arguments of the command line."""
    return run(LiveNode, sys.argv)
