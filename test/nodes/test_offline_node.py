# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import os

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger
from videodepth.msg import OfflineStatus

from test.support import fake_jobs
from test.support.results_bag import write_recording, write_results
from videodepth_ros.nodes.options import OfflineNodeOptions


@pytest.fixture
def bag(tmp_path):
    return write_recording(tmp_path / 'drive', fake_jobs.FRAMES)


def work(bag):
    return bag.with_name('drive_refined.work')


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_recording_is_refined(make_offline, bag):
    rig = make_offline(fake_jobs.quick)
    previews = rig.hear('preview', Image)
    handle = rig.send(bag=bag, prior='bag', start_s=1.0, stride=3, path_length_m=7.5, play=False)
    assert handle.accepted
    answer = rig.result(handle)
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    result = answer.result
    assert (result.success, result.frames, result.seconds, result.scale_source) == (
        True,
        fake_jobs.FRAMES,
        1.5,
        'prior',
    )
    assert result.path_length_m == 2.5
    assert result.outputs == [str(bag.with_name('drive_refined'))]
    assert 'its last bytes' in result.message
    asked = work(bag).read_text()
    for part in ("prior='bag'", 'start_s=1.0', 'stride=3', 'path_length_m=7.5'):
        assert part in asked
    assert rig.node.status().job == OfflineStatus.DONE
    rig.until(lambda: previews)
    assert (previews[0].width, previews[0].height, previews[0].encoding) == (6, 4, 'rgb8')


def test_progress_never_falls(make_offline, bag):
    rig = make_offline(fake_jobs.until_heard)
    handle = rig.send(bag=bag, play=False)
    # A client hears nothing of a goal before it was accepted, and nothing after its end.
    rig.until(lambda: rig.feedback and rig.feedback[-1].fraction == 1)
    fake_jobs.heard(bag).touch()
    assert rig.result(handle).result.success
    heard = len(rig.feedback)
    assert [told.fraction for told in rig.feedback] == [0, 0.5, 0.5, 1][-heard:]
    assert [told.stage for told in rig.feedback] == [f'stage {k}' for k in range(4)][-heard:]
    np.testing.assert_array_equal(
        [told.seconds_left for told in rig.feedback], [math.nan, 2, 1, 0][-heard:]
    )
    assert [told.preview.width for told in rig.feedback] == [0, 6, 0, 0][-heard:]


def test_a_goal_can_be_cancelled_and_its_work_stays(make_offline, bag):
    rig = make_offline(fake_jobs.patient)
    handle = rig.send(bag=bag)
    rig.until(lambda: rig.feedback)
    cancelling = handle.cancel_goal_async()
    answer = rig.result(handle)
    rig.until(cancelling.done)
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert not answer.result.success
    assert 'goes on' in answer.result.message
    assert work(bag).read_text() == 'kept'
    assert rig.node.status().job == OfflineStatus.CANCELLED


def test_a_job_that_does_not_listen_is_killed(make_offline, bag):
    rig = make_offline(fake_jobs.deaf, options=OfflineNodeOptions(cancel_timeout_s=0.3))
    handle = rig.send(bag=bag)
    rig.until(lambda: rig.feedback)
    pid = int(rig.until(lambda: work(bag).exists() and work(bag).read_text()))
    handle.cancel_goal_async()
    answer = rig.result(handle)
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert 'killed' in answer.result.message
    assert is_gone(pid)


def test_the_end_of_the_node_is_the_end_of_the_job(make_offline, bag):
    rig = make_offline(fake_jobs.deaf)
    rig.send(bag=bag)
    rig.until(lambda: rig.feedback)
    pid = int(rig.until(lambda: work(bag).exists() and work(bag).read_text()))
    rig.node.close()
    assert is_gone(pid)


def test_a_second_goal_is_refused_and_the_first_goes_on(make_offline, bag):
    rig = make_offline(fake_jobs.patient)
    first = rig.send(bag=bag)
    rig.until(lambda: rig.feedback)
    second = rig.refine(bag=bag, output='elsewhere')
    assert second.status == GoalStatus.STATUS_ABORTED
    assert 'is being refined' in second.result.message
    assert rig.node.status().refused == 1
    assert rig.node.status().job == OfflineStatus.REFINING
    first.cancel_goal_async()
    assert rig.result(first).status == GoalStatus.STATUS_CANCELED


@pytest.mark.parametrize(
    ('job', 'says'),
    [
        (fake_jobs.wrong, "prior is 'nano'; give nano"),
        (fake_jobs.broken, 'ZeroDivisionError: a fault of ours'),
        (fake_jobs.killed, 'signal 9 (SIGKILL)'),
    ],
    ids=['wrong', 'broken', 'killed'],
)
def test_a_failed_job_reports_its_error_and_the_node_stays(make_offline, bag, job, says):
    rig = make_offline(job)
    diagnostics = rig.hear('/diagnostics', DiagnosticArray)
    answer = rig.refine(bag=bag)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert says in answer.result.message
    assert rig.node.status().job == OfflineStatus.FAILED
    status = rig.until(
        lambda: [
            each
            for array in diagnostics
            for each in array.status
            if each.level == DiagnosticStatus.ERROR
        ]
    )[0]
    assert says in status.message
    again = rig.refine(bag=bag)
    assert says in again.result.message


@pytest.mark.parametrize(
    ('goal', 'says'),
    [
        ({}, "bag is ''"),
        ({'bag': 'nowhere'}, 'nowhere does not exist'),
        ({'method': 'abacus'}, "method is 'abacus'; give one of align3r"),
        ({'pairs': 'twins'}, "pairs is 'twins'; give one of auto, geometric"),
        ({'start_s': -1.0}, 'start_s is -1.0; give 0 to'),
        ({'start_s': 3.0, 'end_s': 2.0}, 'the end is after the start'),
        ({'depth_encoding': 'words'}, 'one of 32FC1, 16UC1, compressed'),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(make_offline, bag, goal, says):
    rig = make_offline(fake_jobs.quick)
    if goal and 'bag' not in goal:
        goal = {'bag': bag, **goal}
    answer = rig.refine(**goal)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert says in answer.result.message
    assert rig.node.status().refused == 1
    assert rig.node.status().job == OfflineStatus.IDLE


def test_parameters_replace_empty_fields_of_a_goal(make_offline, bag, tmp_path):
    rig = make_offline(
        fake_jobs.quick, prior='bag', stride=4, method='coalign', image_topic='/camera/image_raw'
    )
    answer = rig.refine(bag=bag, stride=2, output=tmp_path / 'mine', play=False)
    assert answer.result.outputs == [str(tmp_path / 'mine')]
    asked = (tmp_path / 'mine.work').read_text()
    for part in ("prior='bag'", 'stride=2', 'coalign', "image_topic='/camera/image_raw'"):
        assert part in asked


def test_the_parameters_start_a_job_and_its_results_are_played(make_offline, bag):
    rig = make_offline(fake_jobs.quick, bag=str(bag), play_delay_s=0.0, rate=10.0)
    rig.until(lambda: rig.node.status().playback == OfflineStatus.ENDED)
    status = rig.node.status()
    assert (status.job, status.fraction, status.last_error) == (OfflineStatus.DONE, 1.0, '')
    assert status.output == str(bag.with_name('drive_refined'))
    assert status.position_s == pytest.approx(status.duration_s)


def test_the_camera_that_was_refined_is_the_one_that_is_played(make_offline, tmp_path):
    bag = write_recording(tmp_path / 'two', fake_jobs.FRAMES, cameras=('front', 'rear'))
    rig = make_offline(fake_jobs.quick, play_delay_s=1.0, rate=10.0)
    front, rear = rig.hear('/front/image_raw', Image), rig.hear('/rear/image_raw', Image)
    assert rig.refine(bag=bag, image_topic='/rear/image_raw').result.success
    rig.until(lambda: len(rear) == fake_jobs.FRAMES)
    assert not front
    assert rig.node.status().last_error == ''


def test_results_that_are_there_are_only_played(make_offline, bag):
    write_results(bag.with_name('drive_refined'), fake_jobs.FRAMES)
    rig = make_offline(fake_jobs.broken, bag=str(bag), play_delay_s=0.0, rate=10.0)
    rig.until(lambda: rig.node.status().playback == OfflineStatus.ENDED)
    assert rig.node.status().job == OfflineStatus.IDLE


def test_a_bag_that_is_missing_fails_at_the_start(make_offline, tmp_path):
    rig = make_offline(fake_jobs.quick, bag=str(tmp_path / 'nowhere'))
    rig.until(lambda: 'does not exist' in rig.node.status().last_error)


def test_there_is_nothing_to_play_or_to_pause_at_first(make_offline):
    rig = make_offline(fake_jobs.quick)
    assert not rig.call(Trigger, 'play').success
    assert not rig.call(SetBool, 'pause', data=True).success


def test_a_wrong_parameter_is_refused(make_offline):
    rig = make_offline(fake_jobs.quick)
    refused = rig.node.set_parameters([Parameter('method', value='abacus')])[0]
    assert not refused.successful
    assert "method is 'abacus'; give one of align3r" in refused.reason
    assert not rig.node.set_parameters([Parameter('rate', value=0.0)])[0].successful
    assert rig.node.set_parameters([Parameter('loop', value=True)])[0].successful
    assert rig.node.parameters.loop
