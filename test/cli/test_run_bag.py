# SPDX-License-Identifier: Apache-2.0
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from test.support.small_bag import FAR_M, HEIGHT, NEAR_M, START_NS, WIDTH, write_scene
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import set_stamp, stamp_ns

SLOW_ENGINE = """
import sys, time
sys.path.insert(0, {root!r})
from test.support.instant_engine import InstantEngine
from videodepth_ros.cli import main
from videodepth_ros.engines import open as engines
from videodepth_ros.models import catalogue

class SlowEngine(InstantEngine):
    def step(self, image, state):
        time.sleep(0.05)
        print('step', flush=True)
        return super().step(image, state)

engines.open_engine = lambda model, engine, width, height, threads: SlowEngine(width, height)
catalogue.weights_path = lambda card: None
sys.exit(main(sys.argv[1:]))
"""


def messages(bag: Path, topic: str) -> list:
    with open_bag(bag) as reader:
        return [message for _, _, message in reader.messages([topic])]


def test_every_image_becomes_depth_under_its_header(run, instant, scene, tmp_path):
    code, facts = run('run-bag', scene, tmp_path / 'out', '--edge-ratio', 0)
    assert code == 0
    assert facts['frames'] == 5
    assert facts['rejected'] == 0
    assert facts['seconds'] > 0
    assert facts['outputs'] == [str(tmp_path / 'out')]
    assert facts['scale_source'] == 'intrinsics'
    depths = messages(tmp_path / 'out', '/videodepth/depth/image')
    images = messages(scene, '/camera/image_raw')
    assert [stamp_ns(d.header.stamp) for d in depths] == [stamp_ns(i.header.stamp) for i in images]
    assert {d.header.frame_id for d in depths} == {'optical'}
    depth_m = decode_depth(depths[0])
    assert depth_m.shape == (HEIGHT, WIDTH)
    assert sorted(np.unique(np.round(depth_m, 4))) == pytest.approx([NEAR_M, FAR_M], rel=1e-4)
    info = messages(tmp_path / 'out', '/videodepth/depth/camera_info')[0]
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert instant[0].seen == [0, 1, 2, 3, 4]
    assert instant[0].closed


def test_options_reach_the_session(run, instant, scene, tmp_path):
    code, facts = run(
        'run-bag',
        scene,
        tmp_path / 'out',
        '--output',
        'network',
        '--max-pixels',
        80 * 100,
        '--scale-factor',
        2,
        '--max-range-m',
        5,
        '--edge-ratio',
        0,
        '--points',
        '--cloud-stride',
        8,
    )
    assert code == 0
    width, height = (int(n) for n in facts['network_size'].split('x'))
    assert width * height <= 80 * 100
    depth_m = decode_depth(messages(tmp_path / 'out', '/videodepth/depth/image')[0])
    assert depth_m.shape == (height, width)
    assert np.isinf(depth_m).any()  # the wall, at 8 m now
    assert np.nanmin(depth_m) == pytest.approx(2 * NEAR_M, rel=1e-4)
    cloud = messages(tmp_path / 'out', '/videodepth/depth/points')[0]
    assert (cloud.width, cloud.height) == (-(-width // 8), -(-height // 8))
    assert facts['topics']['videodepth/depth/points'] == 5


def test_every_nth_frame_becomes_depth(run, instant, scene, tmp_path):
    code, facts = run('run-bag', scene, tmp_path / 'out', '--stride', 2)
    assert code == 0
    depths = messages(tmp_path / 'out', '/videodepth/depth/image')
    images = messages(scene, '/camera/image_raw')
    assert [stamp_ns(d.header.stamp) for d in depths] == [
        stamp_ns(i.header.stamp) for i in images[::2]
    ]
    assert (facts['images'], facts['frames'], facts['resets']) == (5, 3, {})


@pytest.mark.parametrize('step_ns', [0, -1])
def test_useless_stamps_are_replaced_by_the_times_of_recording(run, instant, tmp_path, step_ns):
    scene, recorded_ns = tmp_path / 'scene', []
    with BagWriter(scene) as bag:
        for k in range(6):
            message = new_message('sensor_msgs/msg/Image')
            set_stamp(message.header.stamp, START_NS + k * step_ns)
            message.width, message.height, message.encoding = WIDTH, HEIGHT, 'mono8'
            message.step, message.data = WIDTH, np.full(WIDTH * HEIGHT, k, np.uint8)
            recorded_ns.append(2 * START_NS + k * 10**8)
            bag.write('camera/image_raw', recorded_ns[-1], message)
    code, facts = run('run-bag', scene, tmp_path / 'out')
    assert code == 0
    assert (facts['frames'], facts['rejected'], facts['resets']) == (6, 0, {})
    assert 'the times of recording are used' in facts['notes'][0]
    depths = messages(tmp_path / 'out', '/videodepth/depth/image')
    assert [stamp_ns(d.header.stamp) for d in depths] == recorded_ns


def test_bad_images_are_counted_with_their_reason_and_the_rest_goes_on(run, instant, tmp_path):
    scene = tmp_path / 'scene'
    with BagWriter(scene) as bag:
        for k in range(4):
            size = (HEIGHT, WIDTH, 3) if k != 2 else (8, 8, 3)
            bag.write_image('camera/image_raw', START_NS + k, 'optical', np.ones(size, np.uint8))
    code, facts = run('run-bag', scene, tmp_path / 'out')
    assert code == 0
    assert (facts['frames'], facts['rejected']) == (3, 1)
    assert '8x8' in facts['rejections'][0]
    assert facts['scale_source'] == 'model'  # there is no calibration
    assert '/videodepth/depth/camera_info' not in facts['topics']


def test_images_that_cannot_be_decoded_are_reported_as_lost(run, instant, tmp_path, capsys):
    scene = tmp_path / 'scene'
    with BagWriter(scene) as bag:
        for k in range(3):
            message = new_message('sensor_msgs/msg/CompressedImage')
            set_stamp(message.header.stamp, START_NS + k)
            content = cv2.imencode('.png', np.ones((HEIGHT, WIDTH, 3), np.uint8))[1]
            message.format, message.data = 'png', content[:20] if k == 1 else content
            bag.write('camera/image_raw/compressed', START_NS + k, message)
    code, facts = run('run-bag', scene, tmp_path / 'out')
    assert code == 0
    assert (facts['images'], facts['frames']) == (3, 2)
    assert '1 images of /camera/image_raw/compressed could not be used' in facts['lost']
    assert 'lost: ' in capsys.readouterr().out


def test_a_truncated_bag_yields_its_readable_part_and_reports_the_loss(run, instant, tmp_path):
    scene = write_scene(tmp_path / 'scene', frames=20)
    recording = next(scene.glob('*.mcap'))
    recording.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])
    code, facts = run('run-bag', scene, tmp_path / 'out')
    assert code == 0
    assert 0 < facts['frames'] < 20
    assert facts['lost']
    assert len(messages(tmp_path / 'out', '/videodepth/depth/image')) == facts['frames']


def test_resets_are_counted_by_reason(run, instant, tmp_path):
    scene = tmp_path / 'scene'
    with BagWriter(scene) as bag:
        for second in (1, 2, 10):
            bag.write_image(
                'camera/image_raw',
                second * 10**9,
                'optical',
                np.ones((HEIGHT, WIDTH, 3), np.uint8),
            )
    assert run('run-bag', scene, tmp_path / 'out')[1]['resets'] == {'gap': 1}


def test_a_bag_of_which_nothing_becomes_depth_is_a_failure_without_output(
    run, instant, tmp_path, capsys
):
    scene = tmp_path / 'scene'
    with BagWriter(scene) as bag:
        bag.write_image('camera/image_raw', 1, 'optical', np.ones((8, 8, 3), np.uint8))
    code, facts = run('run-bag', scene, tmp_path / 'out')
    assert code == 1
    assert '8x8' in facts['error']
    assert capsys.readouterr().err.startswith('videodepth: error: ')
    assert not (tmp_path / 'out').exists()


def test_a_device_that_fails_leaves_what_was_written(run, instant, scene, tmp_path, monkeypatch):
    def fail_at_third(self, image, state):
        if state == 2:
            raise DeviceError('the device is gone; look at it')
        return self.answer, state + 1

    monkeypatch.setattr('test.support.instant_engine.InstantEngine.step', fail_at_third)
    code, facts = run('run-bag', scene, tmp_path / 'out')
    assert code == 1
    assert facts == {'error': 'the device is gone; look at it'}
    assert len(messages(tmp_path / 'out', '/videodepth/depth/image')) == 2
    assert instant[0].closed


def test_an_existing_output_is_not_touched(run, instant, scene, tmp_path):
    (tmp_path / 'out').mkdir()
    code, facts = run('run-bag', scene, tmp_path / 'out')
    assert code == 1
    assert 'exists' in facts['error']


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--image-topic', '/nothing'), '/camera/image_raw'),
        (('--camera-info-topic', '/nothing'), '/camera/camera_info'),
    ],
)
def test_a_topic_that_is_not_there_names_those_that_are(
    run, instant, scene, tmp_path, options, words
):
    code, facts = run('run-bag', scene, tmp_path / 'out', *options)
    assert code == 1
    assert words in facts['error']
    assert not (tmp_path / 'out').exists()


def test_a_bag_that_is_not_there_is_one_clear_line(run, instant, tmp_path, capsys):
    code, _ = run('run-bag', tmp_path / 'nothing', tmp_path / 'out')
    error = capsys.readouterr().err
    assert code == 1
    assert error.count('\n') == 1
    assert 'nothing does not exist' in error


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_a_readable_bag(tmp_path, number):
    scene = write_scene(tmp_path / 'scene', frames=200)
    script = SLOW_ENGINE.format(root=str(Path(__file__).parents[2]))
    facts = tmp_path / 'facts.json'
    child = subprocess.Popen(
        [
            sys.executable,
            '-c',
            script,
            'run-bag',
            str(scene),
            str(tmp_path / 'out'),
            '--json',
            str(facts),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child, child.stdout:
        for _ in range(4):
            assert child.stdout.readline() == 'step\n'
        child.send_signal(number)
        output = child.stdout.read()
    assert child.returncode == 1
    assert 'interrupted' in output
    written = len(messages(tmp_path / 'out', '/videodepth/depth/image'))
    assert 4 <= written < 200
    assert f'"frames": {written}' in facts.read_text()
    assert '"interrupted": true' in facts.read_text()
