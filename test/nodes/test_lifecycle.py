# SPDX-License-Identifier: Apache-2.0
"""Transitions, failures, and the end of the process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import CameraInfo, Image
from videodepth.msg import Status

from test.support.rig import InstantNode, image_message, info_message
from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.stream.mailbox import MailboxCounts

PATIENCE_S = 120.0
"""With processes and threads, on a busy machine; none of them needs it."""


def state(rig) -> str:
    return rig.node.status().state


def depth_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == 'depth']


def test_a_whole_life_twice(make_rig):
    rig = make_rig()
    assert state(rig) == 'inactive'
    for _ in range(2):
        rig.start()
        images = rig.connect()
        rig.send(images)
        assert state(rig) == 'running'
        assert rig.node.trigger_deactivate().name == 'SUCCESS'
        assert state(rig) == 'inactive'
        rig.until(lambda p=images: p.get_subscription_count() == 0)
        assert rig.node.trigger_cleanup().name == 'SUCCESS'
        assert not depth_threads()
        assert rig.node.engines[-1].closed
        rig.peer.destroy_publisher(images)
    assert rig.node.trigger_shutdown().name == 'SUCCESS'


def test_deactivate_keeps_the_engine_and_activate_goes_on(rig):
    images = rig.connect()
    rig.send(images)
    rig.node.trigger_deactivate()
    rig.node.trigger_activate()
    rig.until(images.get_subscription_count)
    rig.send(images)
    assert [engine.seen for engine in rig.node.engines] == [[0, 1]]
    assert rig.counts.published == 2


def test_many_activations_leave_nothing_behind(rig):
    descriptors = len(os.listdir('/proc/self/fd'))
    for _ in range(50):
        assert rig.node.trigger_deactivate().name == 'SUCCESS'
        assert rig.node.trigger_activate().name == 'SUCCESS'
    assert len(depth_threads()) == 1
    assert len(os.listdir('/proc/self/fd')) <= descriptors + 2


def test_rclpy_keeps_no_reference_to_what_was_destroyed(rig):
    counts = []
    for _ in range(6):
        for step in ('deactivate', 'cleanup', 'configure', 'activate'):
            assert getattr(rig.node, f'trigger_{step}')().name == 'SUCCESS'
        gc.collect()
        counts.append(len(rig.node.default_callback_group.entities))
    assert counts[-1] == counts[1], counts


def test_an_inactive_node_leaves_the_processor_alone(make_rig):
    rig = make_rig()
    rig.node.trigger_configure()
    (thread,) = depth_threads()

    def used_s() -> float:
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))

    begin_s, before_s = time.monotonic(), used_s()
    rig.until(lambda: time.monotonic() - begin_s > 0.5)
    assert used_s() - before_s < 0.1


def test_weights_that_are_missing_stop_configure(make_rig, monkeypatch):
    def no_weights(node):
        raise ModelError('no weights of nano: get them')

    monkeypatch.setattr(InstantNode, 'model_card', no_weights)
    rig = make_rig()
    reports = rig.consume('/diagnostics', DiagnosticArray)
    assert rig.node.trigger_configure().name == 'FAILURE'
    assert state(rig) == 'failed'
    rig.until(lambda: reports and reports[-1].status[0].level == DiagnosticStatus.ERROR)
    assert 'no weights' in reports[-1].status[0].message
    monkeypatch.undo()
    assert rig.node.trigger_configure().name == 'SUCCESS'
    assert state(rig) == 'inactive'


def test_an_exception_in_a_transition_is_reported(make_rig, monkeypatch):
    def broken(node):
        raise ZeroDivisionError('oh')

    monkeypatch.setattr(InstantNode, 'model_card', broken)
    rig = make_rig()
    assert rig.node.trigger_configure().name == 'ERROR'
    assert (state(rig), rig.node.status().last_error) == ('failed', 'ZeroDivisionError: oh')
    monkeypatch.undo()
    rig.start()
    assert (state(rig), rig.node.status().last_error) == ('idle', '')


def test_a_transition_that_the_state_has_not_is_refused(rig):
    client = rig.peer.create_client(ChangeState, '/videodepth/change_state')
    rig.until(client.service_is_ready)
    for name, success in (('CONFIGURE', False), ('CLEANUP', False), ('DEACTIVATE', True)):
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f'TRANSITION_{name}')
        answer = client.call_async(request)
        rig.until(answer.done)
        assert answer.result().success == success
    assert state(rig) == 'inactive'


def test_a_device_that_fails_deactivates_and_activate_tries_again(rig):
    images = rig.connect()
    statuses = rig.consume('/videodepth/status', Status)
    rig.send(images)
    rig.node.engines[0].error = DeviceError('the device is gone: look at it')
    images.publish(image_message(1))
    rig.until(lambda: rig.node._state_machine.current_state[1] == 'inactive')
    assert state(rig) == 'failed'
    rig.until(lambda: statuses and statuses[-1].state == 'failed')
    assert statuses[-1].last_error == 'the device is gone: look at it'
    assert (rig.counts.rejected, rig.counts.in_flight) == (1, 0)
    assert rig.node.trigger_activate().name == 'SUCCESS'
    rig.until(images.get_subscription_count)
    rig.send(images, image_message(2))
    assert len(rig.node.engines) == 2
    assert state(rig) == 'running'


def test_a_defect_of_the_code_deactivates_too(rig):
    images = rig.connect()
    rig.send(images)
    rig.node.engines[0].error = ZeroDivisionError('oh')
    images.publish(image_message(1))
    rig.until(lambda: state(rig) == 'failed')
    assert rig.node.status().last_error == 'ZeroDivisionError: oh'


def test_the_engine_is_opened_before_the_first_image_without_blocking(make_rig):
    rig = make_rig()
    may_go_on = threading.Event()
    rig.node.hold = lambda: may_go_on.wait(PATIENCE_S)
    try:
        rig.start()
        images = rig.connect()
        rig.until(lambda: state(rig) == 'opening')
        for k in range(5):
            images.publish(image_message(k))
            rig.until(lambda k=k: rig.counts.received == k + 1)
        assert (rig.counts.displaced, rig.counts.in_flight) == (4, 1)
    finally:
        may_go_on.set()
    rig.until(lambda: rig.counts.published == 1)
    assert rig.until(lambda: rig.received['depth/image'])[0].header == image_message(4).header


def test_a_frame_in_flight_is_not_published_after_deactivate(make_rig):
    rig = make_rig()
    rig.start()
    may_go_on = threading.Event()
    rig.node.hold = lambda: may_go_on.wait(PATIENCE_S)
    images = rig.camera()
    depths = rig.consume('depth/image', Image)
    rig.until(images.get_subscription_count)
    images.publish(image_message(0))
    rig.until(lambda: state(rig) == 'opening')
    rig.node.trigger_deactivate()
    assert rig.node.trigger_cleanup().name == 'FAILURE'  # an opening cannot be interrupted
    may_go_on.set()
    rig.until(lambda: rig.counts.in_flight == 0)
    assert rig.counts.displaced == 1
    assert not depths


def test_without_images_the_status_is_waiting_with_a_warning(make_rig):
    rig = make_rig(keep_state_warm=True, status_period_s=0.05, image_timeout_s=0.2)
    rig.start()
    reports = rig.consume('/diagnostics', DiagnosticArray)
    rig.until(lambda: reports and 'no image on /image' in reports[-1].status[0].message)
    report = reports[-1].status[0]
    assert report.level == DiagnosticStatus.WARN
    assert report.name == '/videodepth'
    shown = {value.key: value.value for value in report.values}
    assert shown['state'] == 'waiting'
    assert float(shown['memory_mb']) > 10


NODE = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from test.support.rig import InstantNode
from videodepth_ros.core.errors import InputError, ModelError
from videodepth_ros.nodes.live_node import run
def hold(node):
    {opening}
def make_node():
    {starting}
    node = InstantNode()
    node.hold = lambda: hold(node)
    return node
sys.exit(run(make_node, sys.argv))
"""


def start_process(
    root, *arguments: str, opening: str = 'pass', starting: str = 'pass'
) -> subprocess.Popen[str]:
    code = NODE.format(root=str(root), opening=opening, starting=starting)
    return subprocess.Popen(
        [sys.executable, '-c', code, '--ros-args', *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=root,
    )


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_cleanly_while_it_works(make_rig, root, how):
    rig = make_rig()  # its peer is the camera; its own node stays unconfigured
    process = start_process(root)
    images, infos = rig.camera(), rig.camera('camera_info', CameraInfo)
    depths = rig.consume('depth/image', Image)
    try:
        rig.until(images.get_subscription_count, timeout_s=PATIENCE_S)
        while not depths:
            assert process.poll() is None
            images.publish(image_message(rig.k))
            rig.k += 1
            rig.executor.spin_once(timeout_sec=0.02)
        process.send_signal(how)
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert 'Traceback' not in output
    assert infos is not None


def test_a_signal_ends_the_process_cleanly_while_it_starts(root):
    process = start_process(root, starting='os.kill(os.getpid(), signal.SIGINT); time.sleep(0.3)')
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert 'Traceback' not in output


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (('--params-file', 'LICENSE'), 'LICENSE'),
        (('-r', 'image:=/my camera'), '/my camera'),
        (('--abacus',), '--abacus'),
    ],
)
def test_arguments_that_ros_cannot_read_end_the_process_with_them(root, arguments, says):
    process = start_process(root, *arguments)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output
    assert says in output
    assert 'Traceback' not in output


@pytest.mark.parametrize(
    ('setting', 'says'),
    [
        ('max_gap_s:=-1.0', 'max_gap_s'),
        ('engine:=abacus', 'one of auto'),
        ('model:=7', 'model'),
        ('max_gap_s:=2', 'max_gap_s'),
    ],
)
def test_a_wrong_parameter_ends_the_process_with_its_name(root, setting, says):
    process = start_process(root, '-p', setting)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output
    assert says in output
    assert 'Traceback' not in output


def interrupted_while_opening(rig, process: subprocess.Popen[str]) -> str:
    """Send SIGINT as soon as the node opens an engine, and return what it has said."""
    infos = rig.camera('camera_info', CameraInfo)
    statuses = rig.consume('/videodepth/status', Status)
    try:
        rig.until(infos.get_subscription_count, timeout_s=PATIENCE_S)
        while not (statuses and statuses[-1].state == 'opening'):
            assert process.poll() is None
            infos.publish(info_message())
            rig.executor.spin_once(timeout_sec=0.05)
        process.send_signal(signal.SIGINT)
        return process.communicate(timeout=PATIENCE_S)[0]
    finally:
        process.kill()


def test_a_signal_ends_the_process_while_an_engine_is_being_opened(make_rig, root):
    rig = make_rig()
    process = start_process(root, opening='time.sleep(600)')
    output = interrupted_while_opening(rig, process)
    assert process.returncode == 0, output
    assert 'Traceback' not in output


def run_build_only(rig, root, opening: str = 'pass') -> tuple[int, str]:
    """Return the exit code and the output of a node that only builds."""
    process = start_process(root, '-p', 'build_only:=true', opening=opening)
    infos = rig.camera('camera_info', CameraInfo)
    try:
        while process.poll() is None:
            infos.publish(info_message())
            rig.executor.spin_once(timeout_sec=0.05)
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert 'Traceback' not in output
    return process.returncode, output


def test_to_build_only_ends_the_process_once_the_engine_is_there(make_rig, root):
    code, output = run_build_only(make_rig(), root)
    assert code == 0, output
    assert 'build_only is true' in output


@pytest.mark.parametrize('error', ['ModelError', 'InputError'])
def test_to_build_only_fails_when_there_is_nothing_to_build(make_rig, root, error):
    """No other image is waited for, for none would make a difference."""
    code, output = run_build_only(make_rig(), root, f'raise {error}("too small: take a larger")')
    assert code == 1, output
    assert 'too small: take a larger' in output


def test_to_build_only_and_not_to_begin_is_a_failure(root):
    process = start_process(root, '-p', 'build_only:=true', '-p', 'scale.prior:=depth-pro')
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output
    assert 'depth-pro' in output


def building(rig) -> None:
    """Stand in for a builder that tells its progress and never ends."""
    while True:
        rig.node.report_build('Building Engine', 0.42)
        time.sleep(0.01)


def test_a_build_is_seen_in_diagnostics_and_ends_with_cleanup(make_rig):
    rig = make_rig(status_period_s=0.05)
    rig.node.hold = lambda: building(rig)
    reports = rig.consume('/diagnostics', DiagnosticArray)
    rig.start()
    images = rig.camera()
    rig.consume('depth/image', Image)
    rig.until(images.get_subscription_count)
    images.publish(image_message(0))
    rig.until(lambda: reports and 'Building Engine, 42%' in reports[-1].status[0].message)
    assert reports[-1].status[0].message == 'opening: Building Engine, 42%'
    mailbox = rig.node._worker._mailbox
    assert rig.node.trigger_deactivate().name == 'SUCCESS'
    assert rig.node.trigger_cleanup().name == 'SUCCESS'
    assert not depth_threads()
    assert mailbox.counts == MailboxCounts(received=1, displaced=1)
    rig.node.hold = lambda: None  # and the node works as before
    rig.start()
    rig.until(images.get_subscription_count)
    rig.send(images)


def test_ctrl_c_cancels_a_build(make_rig, root):
    rig = make_rig()
    process = start_process(
        root,
        '-p',
        'build_only:=true',
        opening=('while True: node.report_build("Building Engine", 0.1); time.sleep(0.01)'),
    )
    output = interrupted_while_opening(rig, process)
    assert process.returncode == 1, output  # for nothing was built
    assert 'Building Engine, 10%' in output
    assert 'Traceback' not in output


@pytest.mark.parametrize('module', ['live_node', 'cameras_node', 'offline_node'])
def test_the_modules_of_the_nodes_run(module, root):
    name = f'videodepth_ros.nodes.{module}'
    done = subprocess.run(
        [sys.executable, '-m', name, '--ros-args', '--params-file', 'no such file'],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=root,
        check=False,
    )
    assert done.returncode == 1
    assert 'no such file' in done.stderr
