# SPDX-License-Identifier: Apache-2.0
"""The offline node: recordings are refined on request, and the results are played back.

The executor's thread answers and tells how things stand. The job runs in a process (see
``job_process.py``) and the playback in a thread (see ``playback.py``), so neither keeps it from
answering, and a job that crashes takes nothing else with it.
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
from videodepth_ros.nodes.job_process import Done, Failed, Job, JobProcess, Request, refine
from videodepth_ros.nodes.offline_diagnostics import diagnostic, warnings_of
from videodepth_ros.nodes.offline_parameters import (
    DECLARATIONS,
    OfflineParameters,
    offline_parameters,
    request_from,
    sources_from,
)
from videodepth_ros.nodes.playback import Playback
from videodepth_ros.nodes.playlist import Sources
from videodepth_ros.nodes.process import made, ros, spin

WATCH_PERIOD_S = 0.1
"""How often the node hears what the job has told."""

PATIENCE_S = 10.0
"""How long a job that was cancelled may take to put its work down before it is killed."""


@dataclass(frozen=True)
class Work:
    """A goal that is being worked on; ``ended`` is done when the job has said its last word."""

    handle: ServerGoalHandle
    process: JobProcess
    ended: Future


class OfflineNode(Node):
    """Refines one recording at a time, and plays what was refined last.

    job  what refines; another one is for tests
    """

    def __init__(self, job: Job = refine, **node_arguments: Any) -> None:
        super().__init__('videodepth_offline', **node_arguments)
        self.parameters = OfflineParameters()
        self._job = job
        self._work: Work | None = None
        self._sources: Sources | None = None  # what was played last, or would be
        self._playback: Playback | None = None
        self._status = OfflineStatus(
            job=OfflineStatus.IDLE, playback=OfflineStatus.STOPPED, seconds_left=math.nan
        )
        for declaration in DECLARATIONS:
            self.declare_parameter(
                declaration.name, declaration.default, declaration.descriptor('the next goal')
            )
        self._read_parameters()
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(lambda _: self._read_parameters())
        self._offer()

    def _offer(self) -> None:
        """Make everything that others can call and hear."""
        self._status_publisher = self.create_publisher(OfflineStatus, '~/status', 5)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 5)
        self._preview_publisher = self.create_publisher(Image, 'preview', 2)
        self._server = ActionServer(
            self,
            Refine,
            '~/refine',
            self._refine,
            goal_callback=lambda _: GoalResponse.ACCEPT,  # a refusal could not say why
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        self._client = ActionClient(self, Refine, '~/refine')
        self.create_service(SetBool, '~/pause', self._on_pause)
        self.create_service(Trigger, '~/play', self._on_play)
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD_S, self._watch, clock=clock)
        self.create_timer(self.parameters.status_period_s, self._report, clock=clock)
        self._beginning = self.create_timer(WATCH_PERIOD_S, self._begin, clock=clock)

    def close(self) -> None:
        """End job and playback; the work of the job is kept, and the same goal goes on."""
        self._stop_playback()
        if self._work is not None:
            self._work.process.kill()
            self._work = None

    def destroy_node(self) -> None:
        """Leave the graph."""
        self.close()
        self._server.destroy()
        self._client.destroy()
        super().destroy_node()

    # The job.

    def _begin(self) -> None:
        """Do what the parameters ask for, once: refine a recording, or play what is there."""
        if not self.parameters.bag and not self.parameters.output:
            self._beginning.cancel()
            return
        sources = sources_from(self.parameters)
        if sources.results.exists():
            self.get_logger().info(
                f'{sources.results} is there already; remove it to refine the recording again'
            )
            self._sources = sources
            self._status.bag, self._status.output = (
                str(sources.recording or ''),
                str(sources.results),
            )
            if self.parameters.play:
                self._play(sources)
        elif not self._client.server_is_ready():
            return  # look again
        else:
            self._client.send_goal_async(Refine.Goal(play=self.parameters.play))
        self._beginning.cancel()

    async def _refine(self, handle: ServerGoalHandle) -> Refine.Result:
        """Serve one goal."""
        try:
            if self._work is not None:
                raise ConfigError(
                    f'{self._status.bag} is being refined, and one recording is at '
                    'a time: wait for its end, or cancel it'
                )
            request = request_from(handle.request, self.parameters)
        except VideoDepthError as error:
            return self._refuse(handle, str(error))
        work = self._work = Work(handle, JobProcess(self._job, request), Future())
        self.get_logger().info(f'refining {request.bag} into {request.output}')
        self._status.job, self._status.stage = OfflineStatus.REFINING, 'start'
        self._status.bag, self._status.output = str(request.bag), str(request.output)
        self._status.fraction, self._status.seconds_left = 0.0, math.nan
        last_word = await work.ended
        work.process.kill()
        self._work = None
        if isinstance(last_word, Failed):
            return self._fail(handle, last_word)
        return self._finish(handle, request, last_word)

    def _refuse(self, handle: ServerGoalHandle, reason: str) -> Refine.Result:
        self._status.refused += 1
        self._complain(f'goal refused: {reason}')
        handle.abort()
        return Refine.Result(message=reason)

    def _fail(self, handle: ServerGoalHandle, end: Failed) -> Refine.Result:
        self._status.seconds_left = math.nan
        if end.cancelled and handle.is_cancel_requested:
            self._status.job = OfflineStatus.CANCELLED
            self.get_logger().info(f'cancelled: {end.message}')
            handle.canceled()
        else:
            self._status.job = OfflineStatus.FAILED
            self._complain(end.message)
            handle.abort()
        return Refine.Result(message=end.message)

    def _finish(self, handle: ServerGoalHandle, request: Request, done: Done) -> Refine.Result:
        message = '; '.join(
            [f'{done.frames} frames refined in {done.seconds:.1f} s', *done.remarks]
        )
        self.get_logger().info(f'{message}; written: {", ".join(done.outputs)}')
        self._status.job, self._status.stage = OfflineStatus.DONE, ''
        self._status.fraction, self._status.seconds_left = 1.0, 0.0
        handle.succeed()
        settings = request.settings
        self._sources = Sources(
            request.output, request.bag, settings.image_topic, settings.camera_info_topic
        )
        if handle.request.play:
            self._play(self._sources)
        return Refine.Result(
            success=True,
            message=message,
            outputs=list(done.outputs),
            frames=done.frames,
            seconds=done.seconds,
            scale_source=done.scale_source,
            path_length_m=done.path_length_m,
        )

    def _watch(self) -> None:
        """Hear what the job has told, and tell it what is wanted."""
        work = self._work
        if work is None or work.ended.done():
            return
        if work.handle.is_cancel_requested:
            self._status.job = OfflineStatus.CANCELLING
            work.process.cancel()
            if work.process.since_cancelled_s > PATIENCE_S:
                work.ended.set_result(
                    Failed(
                        'the job was killed, for it did not end by itself; what was done is kept, '
                        'and the same goal goes on from there',
                        cancelled=True,
                    )
                )
                return
        for news in work.process.news():
            if isinstance(news, Progress):
                self._tell(work.handle, news)
            elif isinstance(news, str):
                self.get_logger().info(news)
            else:
                work.ended.set_result(news)

    def _tell(self, handle: ServerGoalHandle, progress: Progress) -> None:
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

    # The playback.

    def _play(self, sources: Sources) -> None:
        """Play results from their beginning."""
        self._stop_playback()
        self._playback = Playback(self, sources, self.parameters, self._complain)

    def _stop_playback(self) -> None:
        if self._playback is not None:
            self._playback.close()
            self._playback = None

    def _on_play(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._sources is None:
            response.message = 'there are no results: send a goal first'
            return response
        self._play(self._sources)
        response.success, response.message = True, f'playing {self._sources.results}'
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._playback is None:
            response.message = 'nothing is played'
            return response
        self._playback.pause(request.data)
        response.success = True
        response.message = 'time stands still' if request.data else 'time goes on'
        return response

    # Parameters.

    def _read_parameters(self) -> None:
        self.parameters = offline_parameters(
            {d.name: self.get_parameter(d.name).value for d in DECLARATIONS}
        )
        if self._playback is not None:
            self._playback.parameters = self.parameters

    def _check_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        declared = {declaration.name: declaration for declaration in DECLARATIONS}
        try:
            for change in changes:
                if change.name in declared:
                    declared[change.name].check(change.value)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    # How things stand.

    def _complain(self, reason: str) -> None:
        """Keep and log what has gone wrong."""
        self._status.last_error = reason
        self.get_logger().error(reason)

    def status(self) -> OfflineStatus:
        """Return how things stand."""
        status, playback = self._status, self._playback
        status.header.stamp = self.get_clock().now().to_msg()
        status.rate = self.parameters.rate
        if playback is not None:
            status.playback = playback.state
            status.position_s = (playback.now_ns - playback.begin_ns) * 1e-9
            status.duration_s = playback.length_ns * 1e-9
            status.late_s, status.rounds = playback.late_s, playback.rounds
        return status

    def _report(self) -> None:
        status = self.status()
        self._status_publisher.publish(status)
        warnings = warnings_of(status, self.count_publishers('/clock'))
        report = DiagnosticArray(
            status=[diagnostic(self.get_fully_qualified_name(), status, warnings)]
        )
        report.header.stamp = status.header.stamp
        self._diagnostics_publisher.publish(report)


def run(make_node: Callable[[], OfflineNode], arguments: list[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM; return the exit code."""
    with ros(arguments) as interruption:
        node = made(make_node, 'videodepth_offline')
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            spin(executor, lambda: interruption.requested)
        finally:
            executor.shutdown()
            node.destroy_node()
    return 0


def main() -> int:
    """Run the offline node with the arguments of the command line."""
    return run(OfflineNode, sys.argv)
