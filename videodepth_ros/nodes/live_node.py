# SPDX-License-Identifier: Apache-2.0
"""The live node: camera images in, depth, point cloud and diagnostics out.

The thread of the executor receives messages, follows the ROS graph and publishes the status. The
thread of the worker decodes the newest image, computes and publishes depth (see ``worker.py``). It
also opens the engine, which may take minutes, once camera_info or the first image gives the size.
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

from videodepth_ros.core.errors import VideoDepthError
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.open import open_engine
from videodepth_ros.models.catalogue import ModelCard, card, weights_path
from videodepth_ros.models.mono import MonoPrior
from videodepth_ros.nodes import process
from videodepth_ros.nodes.camera_subscription import CameraSubscription
from videodepth_ros.nodes.depth_publishers import DepthPublishers
from videodepth_ros.nodes.diagnostics import diagnostic_array, resident_memory_mb
from videodepth_ros.nodes.image_decoder import CalibrationBuffer, ImageDecoder
from videodepth_ros.nodes.lifecycle import SafeLifecycleNode, error_text, report_errors
from videodepth_ros.nodes.live_diagnostics import (
    HealthInputs,
    HealthMonitor,
    active_state,
    details_of,
    diagnostic_status,
    fill_status,
)
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.measured_scale import MeasuredScale
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions
from videodepth_ros.nodes.ros_parameters import (
    declare_parameters,
    find_error,
    find_static_change,
    read_parameters,
)
from videodepth_ros.nodes.worker import DepthWorker
from videodepth_ros.scale.parameters import fusion_settings
from videodepth_ros.stream.anchor import MetricAnchor, open_scale_prior
from videodepth_ros.stream.parameters import session_settings
from videodepth_ros.stream.session import DepthSession, ResetReason


class LiveNode(SafeLifecycleNode):
    """Depth of one camera, as a lifecycle node.

    configure   check parameters and weights, create publishers, start the worker
    activate    subscribe to the camera
    deactivate  unsubscribe; engine and publishers stay
    cleanup     free the engine; parameters that are not dynamic may change afterwards
    """

    def __init__(self, *, options: LiveNodeOptions = LIVE, **node_arguments: Any) -> None:
        super().__init__('videodepth', **node_arguments)
        self._options = options
        self._worker: DepthWorker | None = None  # from configure to cleanup
        self._camera: CameraSubscription | None = None  # likewise
        self._anchor: MetricAnchor | None = None  # likewise
        self._scale: MeasuredScale | None = None  # likewise
        self._clock_jumps: JumpHandle | None = None
        self._active = False
        self._images_needed_since_s: float | None = None  # on the steady clock
        self._transition_error = ''  # until a configure succeeds
        self.built: bool | None = None  # result of build_only; None: pending
        self._health_monitor = HealthMonitor(self.get_logger(), options)
        declare_parameters(self, LiveParameters, 'the next configure')
        self.parameters = read_parameters(self, LiveParameters)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        self._status_publisher = self.create_publisher(Status, '~/status', 5)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 5)
        self.create_service(Trigger, '~/reset', self._on_reset)
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(options.watch_period_s, self._watch, clock=clock)
        self._status_timer = self.create_timer(
            self.parameters.status_period_s, self._publish_status, clock=clock
        )

    # Sources of depth; nodes of tests and benchmarks override them.

    def model_card(self) -> ModelCard:
        """Return the model of the parameters; raise ModelError if its weights are missing."""
        model = card(self.parameters.model)
        weights_path(model)
        return model

    def open_engine(self, width: int, height: int) -> Engine:
        """Open the engine of the parameters for a network input of this size."""
        model, engine = self.parameters.model, self.parameters.engine
        threads, report = self.parameters.threads, self.report_build
        return open_engine(model, engine, width, height, threads=threads, report=report)

    def report_build(self, phase: str, fraction: float) -> None:
        """Note the progress of an engine build; raise Cancelled if the node is cleaned up."""
        if self._worker is not None:
            self._worker.report_build(phase, fraction)

    def open_prior(self) -> MonoPrior | None:
        """Open the metric prior of the parameters; None if there is none.

        Raise ModelError or DeviceError if its weights or libraries are missing.
        """
        name = self.parameters.scale_prior
        return None if name == 'none' else open_scale_prior(name)

    # Transitions.

    @report_errors
    def on_configure(self, state: LifecycleState) -> Result:
        """Check what can be checked before the first image, and start the worker."""
        try:
            self.parameters = read_parameters(self, LiveParameters)
            model = self.model_card()
            prior = self.open_prior()
            scale = fusion_settings(self.parameters, has_prior=prior is not None)
        except VideoDepthError as error:
            self.on_transition_failure(error)
            return Result.FAILURE
        self._transition_error, self.built = '', None
        for notice in filter(None, (model.notice, prior and prior.notice)):
            self.get_logger().warning(notice)
        self._anchor = MetricAnchor(prior) if prior else None
        self._scale = MeasuredScale(self, scale, self._anchor)
        self._start_worker(model, self._scale)
        self._status_timer.timer_period_ns = int(self.parameters.status_period_s * 1e9)
        return Result.SUCCESS

    def _start_worker(self, model: ModelCard, scale: MeasuredScale) -> None:
        parameters = self.parameters
        topic = self.resolve_topic_name('image')
        self._worker = DepthWorker(
            DepthSession(model, self.open_engine, session_settings(parameters), scale.fused),
            ImageDecoder(topic, parameters.rectify, CalibrationBuffer(self._options)),
            DepthPublishers(self, scale.fused),
            parameters,
            self.get_clock(),
            self.get_logger(),
            self._options,
        )
        self._camera = CameraSubscription(
            self, parameters, self._worker.submit, self._worker.set_camera_info
        )

    @report_errors
    def on_activate(self, state: LifecycleState) -> Result:
        """Subscribe to the camera."""
        assert self._worker is not None
        self._health_monitor.reset()
        self._worker.resume()
        max_gap = Duration(nanoseconds=int(self.parameters.max_gap_s * 1e9))
        self._clock_jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=max_gap, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_clock_jump,
        )
        self._active, self._images_needed_since_s = True, None
        if not self.parameters.keep_state_warm:
            self.get_logger().info('active: images are processed while an output has subscribers')
        self._watch()
        self.warnings(self.status())  # the counts that later ones are compared with
        return super().on_activate(state)

    @report_errors
    def on_deactivate(self, state: LifecycleState) -> Result:
        """Unsubscribe; nothing is published afterwards."""
        self._unsubscribe()
        self.get_logger().info('inactive: no image is received')
        return super().on_deactivate(state)

    @report_errors
    def on_cleanup(self, state: LifecycleState) -> Result:
        """Cancel a build and free the engine; fail while one is being loaded."""
        if not self.close():
            self.get_logger().error('the engine is being loaded: clean up when it has loaded')
            return Result.FAILURE
        self.get_logger().info('cleaned up: the engine is freed')
        return Result.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> Result:
        """Stop the stream from any state."""
        self.close()
        self.get_logger().info('shut down')
        return Result.SUCCESS

    def on_error(self, state: LifecycleState) -> Result:
        """Return to unconfigured after an exception in a transition."""
        return Result.SUCCESS if self.close() else Result.FAILURE

    def on_transition_failure(self, error: Exception) -> None:
        """Log an error and keep it in the status until a configure succeeds."""
        self._transition_error, self.built = error_text(error), False
        self.get_logger().error(self._transition_error)

    def close(self) -> bool:
        """Stop the stream and free the engine; False if it is still being loaded."""
        self._unsubscribe()
        if self._worker is None:
            return True
        if not self._worker.stop(self._options.stop_timeout_s):
            return False
        if self._anchor is not None:
            self._anchor.close(self._options.stop_timeout_s)
        if self._scale is not None:
            self._scale.close()
        self._anchor = self._worker = self._camera = self._scale = None
        return True

    def _unsubscribe(self) -> None:
        self._active = False
        if self._clock_jumps is not None:
            self._clock_jumps.unregister()
            self._clock_jumps = None
        if self._camera is not None:
            self._camera.close()
        if self._worker is not None:
            self._worker.set_camera_info(None)
            self._worker.pause(self._options.stop_timeout_s)

    # Callbacks.

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._worker is not None and self._active:
            self._worker.request_reset(ResetReason.REQUESTED)
            response.success = True
            response.message = 'the recurrent state is reset before the next image'
        else:
            response.message = 'the node is not active: activate it first'
        return response

    def _on_clock_jump(self, _: Any) -> None:
        if self._worker is not None:
            self._worker.request_reset(ResetReason.CLOCK_JUMP)
        if self._scale is not None:
            self._scale.clear()

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        reason = find_error(changes, LiveParameters)
        if self._worker is not None:
            reason = reason or find_static_change(self, changes, LiveParameters)
        return SetParametersResult(successful=not reason, reason=reason)

    def _on_parameters_set(self, _: list[Parameter]) -> None:
        self.parameters = read_parameters(self, LiveParameters)
        if self._worker is not None:
            self._worker.apply(self.parameters)

    # Status.

    def _watch(self) -> None:
        """Follow subscribers and publishers, and deactivate if the worker has failed."""
        if not (self._worker and self._camera and self._scale and self._active):
            return
        worker = self._worker.state
        if worker.has_failed:
            self.get_logger().error(f'deactivated: {worker.last_error}')
            self.trigger_deactivate()  # the operator fixes the fault and activates again
            self._publish_status()
            self.built = False
            return
        if worker.has_built and not self.built:
            self.built = True
            if self.parameters.build_only:
                self.get_logger().info('the engine is built; exiting, as build_only is true')
        needed = self.parameters.keep_state_warm or self._worker.has_subscribers
        if not needed:
            self._images_needed_since_s = None
        elif self._images_needed_since_s is None:
            self._images_needed_since_s = time.monotonic()
        self._camera.refresh(needed)
        if worker.is_calibration_unusable and not self._camera.confirm_info():
            self._worker.set_camera_info(None)  # of a camera that has gone
        self._scale.refresh(self._worker.needs_transforms)

    def status(self) -> Status:
        """Return the present status."""
        status = Status(
            state=self._state(),
            model=self.parameters.model,
            scale_factor=self.parameters.scale_factor,
            last_error=self._transition_error,
            memory_mb=resident_memory_mb(),
        )
        if self._worker is not None and self._scale is not None:
            fill_status(self._worker.state, self._worker.statistics, status)
            self._scale.fill_status(status)
        return status

    def _state(self) -> str:
        worker = self._worker.state if self._worker is not None else None
        if self._transition_error or (worker and worker.has_failed):
            return Status.FAILED
        if worker is None or not self._active:
            return Status.INACTIVE
        since_s = self._images_needed_since_s
        return active_state(worker, since_s, self.parameters.image_timeout_s)

    def _publish_status(self) -> None:
        status, worker, name = self.status(), self._worker, self.get_fully_qualified_name()
        self._status_publisher.publish(status)
        warnings = self.warnings(status)
        details = details_of(worker.state, worker.statistics) if worker is not None else {}
        entry = diagnostic_status(name, status, warnings, self._health_monitor.notes, details)
        self._diagnostics_publisher.publish(diagnostic_array(entry, self.get_clock().now()))

    def warnings(self, status: Status) -> list[str]:
        """Return the present warnings, and log those that are new."""
        inputs = None
        if self._active and self._worker is not None and self._camera is not None:
            inputs = HealthInputs(
                self._camera.state,
                self._worker.state,
                self._images_needed_since_s,
                self.parameters.image_timeout_s,
                self.get_clock().now().nanoseconds,
            )
        scale = self._scale.warnings(status, self.parameters) if self._scale else []
        return self._health_monitor.check(status, inputs, scale)


def run(make_node: Callable[[], LiveNode], arguments: list[str] | None = None) -> int:
    """Run one node until SIGINT or SIGTERM; return the exit code."""
    return process.run(lambda: [make_node()], arguments)


def main() -> int:
    """Run the live node with the arguments of the command line."""
    return run(LiveNode, sys.argv)


if __name__ == '__main__':
    sys.exit(main())
