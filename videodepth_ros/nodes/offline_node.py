# SPDX-License-Identifier: Apache-2.0
"""The offline node: refine recordings as an action, and play the results.

The thread of the executor serves requests and publishes the status. The job runs in a process (see
``job_process.py``) and the playback in a thread (see ``playback.py``), so neither blocks requests,
and a crash of the job does not end the node.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.action.client import ActionClient
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse, ServerGoalHandle
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger
from videodepth.action import Refine
from videodepth.msg import OfflineStatus

from videodepth_ros.core.errors import ConfigError, VideoDepthError
from videodepth_ros.core.progress import Progress
from videodepth_ros.messages.image import write_image
from videodepth_ros.nodes.diagnostics import diagnostic_array
from videodepth_ros.nodes.job_process import (
    Job,
    JobFailure,
    JobProcess,
    JobResult,
    RefineRequest,
    refine,
)
from videodepth_ros.nodes.offline_diagnostics import diagnostic_status, find_warnings
from videodepth_ros.nodes.offline_parameters import OfflineParameters, request_from, sources_from
from videodepth_ros.nodes.options import OFFLINE, OfflineNodeOptions
from videodepth_ros.nodes.playback import Playback
from videodepth_ros.nodes.playlist import PlaybackSources
from videodepth_ros.nodes.process import create_nodes, ros_context, spin_until
from videodepth_ros.nodes.ros_parameters import declare_parameters, find_error, read_parameters


@dataclass(frozen=True)
class ActiveGoal:
    """A goal in execution; ``end`` is the future JobResult or JobFailure."""

    handle: ServerGoalHandle
    process: JobProcess
    end: Future


class OfflineNode(Node):
    """Refine one recording at a time, and play the latest results."""

    def __init__(
        self, job: Job = refine, *, options: OfflineNodeOptions = OFFLINE, **node_arguments: Any
    ) -> None:
        """Create the node; ``job`` is replaced in tests."""
        super().__init__('videodepth_offline', **node_arguments)
        self._options = options
        self._job = job
        self._goal: ActiveGoal | None = None
        self._sources: PlaybackSources | None = None  # of ~/play
        self._playback: Playback | None = None
        self._status = OfflineStatus(
            job=OfflineStatus.IDLE, playback=OfflineStatus.STOPPED, seconds_left=math.nan
        )
        declare_parameters(self, OfflineParameters, 'the next goal')
        self.parameters = read_parameters(self, OfflineParameters)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        self._create_interfaces()

    def _create_interfaces(self) -> None:
        """Create publishers, action, services and timers."""
        self._status_publisher = self.create_publisher(OfflineStatus, '~/status', 5)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 5)
        self._preview_publisher = self.create_publisher(Image, 'preview', 2)
        self._server = ActionServer(
            self,
            Refine,
            '~/refine',
            self._on_goal,
            goal_callback=lambda _: (
                GoalResponse.ACCEPT
            ),  # an aborted goal has a message, a rejected one has not
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        self._client = ActionClient(self, Refine, '~/refine')
        self.create_service(SetBool, '~/pause', self._on_pause)
        self.create_service(Trigger, '~/play', self._on_play)
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self._options.watch_period_s, self._watch_job, clock=clock)
        self.create_timer(self.parameters.status_period_s, self._publish_status, clock=clock)
        self._start_timer = self.create_timer(
            self._options.watch_period_s, self._start, clock=clock
        )

    def close(self) -> None:
        """Stop job and playback; finished work is kept, and the same goal resumes it."""
        self._stop_playback()
        if self._goal is not None:
            self._goal.process.kill()
            self._goal = None

    def destroy_node(self) -> None:
        """Leave the graph."""
        self.close()
        self._server.destroy()
        self._client.destroy()
        super().destroy_node()

    # Job.

    def _start(self) -> None:
        """Refine the recording of the parameters, or play it if it is refined, once."""
        if not self.parameters.bag and not self.parameters.output:
            self._start_timer.cancel()
            return
        sources = sources_from(self.parameters)
        if sources.results.exists():
            self.get_logger().info(
                f'{sources.results} exists; remove it to refine the recording again'
            )
            self._sources = sources
            self._status.bag, self._status.output = (
                str(sources.recording or ''),
                str(sources.results),
            )
            if self.parameters.play:
                self._play(sources)
        elif not self._client.server_is_ready():
            return  # at the next call of the timer
        else:
            self._client.send_goal_async(Refine.Goal(play=self.parameters.play))
        self._start_timer.cancel()

    async def _on_goal(self, handle: ServerGoalHandle) -> Refine.Result:
        """Execute one goal."""
        try:
            if self._goal is not None:
                raise ConfigError(
                    f'{self._status.bag} is being refined, and the node refines one recording at '
                    'a time: wait for its end, or cancel it'
                )
            request = request_from(handle.request, self.parameters)
        except VideoDepthError as error:
            return self._abort(handle, str(error))
        goal = self._goal = ActiveGoal(handle, JobProcess(self._job, request), Future())
        self.get_logger().info(f'refining {request.bag} into {request.output}')
        self._status.job, self._status.stage = OfflineStatus.REFINING, 'start'
        self._status.bag, self._status.output = str(request.bag), str(request.output)
        self._status.fraction, self._status.seconds_left = 0.0, math.nan
        end = await goal.end
        goal.process.kill()
        self._goal = None
        if isinstance(end, JobFailure):
            return self._fail(handle, end)
        return self._succeed(handle, request, end)

    def _abort(self, handle: ServerGoalHandle, reason: str) -> Refine.Result:
        self._status.refused += 1
        self._on_error(f'goal rejected: {reason}')
        handle.abort()
        return Refine.Result(message=reason)

    def _fail(self, handle: ServerGoalHandle, end: JobFailure) -> Refine.Result:
        self._status.seconds_left = math.nan
        if end.cancelled and handle.is_cancel_requested:
            self._status.job = OfflineStatus.CANCELLED
            self.get_logger().info(f'cancelled: {end.message}')
            handle.canceled()
        else:
            self._status.job = OfflineStatus.FAILED
            self._on_error(end.message)
            handle.abort()
        return Refine.Result(message=end.message)

    def _succeed(
        self, handle: ServerGoalHandle, request: RefineRequest, result: JobResult
    ) -> Refine.Result:
        message = '; '.join(
            [f'{result.frames} frames refined in {result.seconds:.1f} s', *result.remarks]
        )
        self.get_logger().info(f'{message}; written: {", ".join(result.outputs)}')
        self._status.job, self._status.stage = OfflineStatus.DONE, ''
        self._status.fraction, self._status.seconds_left = 1.0, 0.0
        handle.succeed()
        settings = request.settings
        self._sources = PlaybackSources(
            request.output, request.bag, settings.image_topic, settings.camera_info_topic
        )
        if handle.request.play:
            self._play(self._sources)
        return Refine.Result(
            success=True,
            message=message,
            outputs=list(result.outputs),
            frames=result.frames,
            seconds=result.seconds,
            scale_source=result.scale_source,
            path_length_m=result.path_length_m,
        )

    def _watch_job(self) -> None:
        """Handle the events of the job, and cancel it on request."""
        goal = self._goal
        if goal is None or goal.end.done():
            return
        if goal.handle.is_cancel_requested:
            self._status.job = OfflineStatus.CANCELLING
            goal.process.cancel()
            if goal.process.seconds_since_cancel > self._options.cancel_timeout_s:
                goal.end.set_result(
                    JobFailure(
                        'the job did not end and was killed; finished work is kept, and the same '
                        'goal resumes it',
                        cancelled=True,
                    )
                )
                return
        for event in goal.process.poll():
            if isinstance(event, Progress):
                self._publish_progress(goal.handle, event)
            elif isinstance(event, str):
                self.get_logger().info(event)
            else:
                goal.end.set_result(event)

    def _publish_progress(self, handle: ServerGoalHandle, progress: Progress) -> None:
        status = self._status
        status.stage = progress.stage
        status.fraction = max(status.fraction, progress.fraction)
        status.seconds_left = math.nan if progress.seconds_left is None else progress.seconds_left
        feedback = Refine.Feedback(
            stage=status.stage, fraction=status.fraction, seconds_left=status.seconds_left
        )
        if progress.preview is not None:
            write_image(progress.preview, feedback.preview, 'rgb8')
            feedback.preview.header.stamp = self.get_clock().now().to_msg()
            self._preview_publisher.publish(feedback.preview)
        handle.publish_feedback(feedback)

    # Playback.

    def _play(self, sources: PlaybackSources) -> None:
        """Play results from their beginning."""
        self._stop_playback()
        self._playback = Playback(self, sources, self.parameters, self._on_error)

    def _stop_playback(self) -> None:
        if self._playback is not None:
            self._playback.close()
            self._playback = None

    def _on_play(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._sources is None:
            response.message = 'there are no results to play: send a goal first'
            return response
        self._play(self._sources)
        response.success, response.message = True, f'playing {self._sources.results}'
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._playback is None:
            response.message = 'there is no playback: call ~/play first'
            return response
        self._playback.pause(request.data)
        response.success = True
        response.message = 'paused' if request.data else 'resumed'
        return response

    # Parameters.

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        reason = find_error(changes, OfflineParameters)
        return SetParametersResult(successful=not reason, reason=reason)

    def _on_parameters_set(self, _: list[Parameter]) -> None:
        self.parameters = read_parameters(self, OfflineParameters)
        if self._playback is not None:
            self._playback.parameters = self.parameters

    # Status.

    def _on_error(self, message: str) -> None:
        """Log an error and keep it in the status."""
        self._status.last_error = message
        self.get_logger().error(message)

    def status(self) -> OfflineStatus:
        """Return the present status."""
        status, playback = self._status, self._playback
        status.header.stamp = self.get_clock().now().to_msg()
        status.rate = self.parameters.rate
        if playback is not None:
            status.playback = playback.state
            status.position_s = (playback.now_ns - playback.begin_ns) * 1e-9
            status.duration_s = playback.length_ns * 1e-9
            status.late_s, status.rounds = playback.late_s, playback.rounds
        return status

    def _publish_status(self) -> None:
        status = self.status()
        self._status_publisher.publish(status)
        warnings = find_warnings(status, self.count_publishers('/clock'))
        entry = diagnostic_status(self.get_fully_qualified_name(), status, warnings)
        self._diagnostics_publisher.publish(diagnostic_array(entry, self.get_clock().now()))


def run(make_node: Callable[[], OfflineNode], arguments: list[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM; return the exit code."""
    with ros_context(arguments) as interruption:
        node = create_nodes(make_node, 'videodepth_offline')
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            spin_until(executor, lambda: interruption.requested)
        finally:
            executor.shutdown()
            node.destroy_node()
    return 0


def main() -> int:
    """Run the offline node with the arguments of the command line."""
    return run(OfflineNode, sys.argv)


if __name__ == '__main__':
    sys.exit(main())
