# SPDX-License-Identifier: Apache-2.0
"""A live node behind the page, over ROS."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from test.support.browser import CHROMIUM, browser_page
from test.support.rig import HEIGHT, WIDTH, image_message
from videodepth_ros.view.live import LiveSource
from videodepth_ros.view.rerun_log import new_frames
from videodepth_ros.view.source import STREAMS

websockets = pytest.importorskip('websockets', reason='the page needs the extra view')


class Camera:
    """A rig that spins in a thread, with a camera of 20 Hz."""

    def __init__(self, rig):
        self.rig, self.level = rig, 0
        rig.start()
        self.images = rig.connect()
        rig.peer.create_timer(0.05, self._send)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._spin)

    def _send(self):
        self.rig.k += 1
        message = image_message(self.rig.k)
        message.data = np.full(3 * WIDTH * HEIGHT, self.level, np.uint8).tobytes()
        self.images.publish(message)

    def _spin(self):
        while not self._done.is_set():
            self.rig.executor.spin_once(timeout_sec=0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


@pytest.fixture
def camera(make_rig):
    with Camera(make_rig(status_period_s=0.1)) as camera:
        yield camera


@pytest.fixture
def source(camera):
    with LiveSource('videodepth') as source:
        yield source


def until(condition, timeout_s=60):
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, 'the condition did not come true'
        time.sleep(0.01)
    return value


def next_frame(source, streams=STREAMS):
    before = source.newest()
    until(lambda: source.newest() > before + 1)
    return source.read(source.newest(), streams)


def test_nothing_is_subscribed_until_a_browser_shows_it(camera, source):
    time.sleep(0.5)
    assert source.newest() == -1
    assert not camera.rig.node.count_subscribers('/rgb/image')
    source.show({'depth'})
    frame = next_frame(source)
    assert frame.depth_m.shape == (HEIGHT, WIDTH)
    assert frame.image is None
    assert not camera.rig.node.count_subscribers('/rgb/image')
    source.show(set())
    until(lambda: camera.rig.node.count_subscribers('/depth/camera_info') == 0)


def test_frames_have_image_depth_and_camera_of_one_stamp(camera, source):
    camera.level = 90
    source.show({'image', 'depth'})
    frame = until(lambda: (f := next_frame(source)).image is not None and f)
    assert frame.frame_id == 'camera'
    assert frame.camera.fx == 150.0
    assert np.isfinite(frame.depth_m).all()
    assert (frame.image == 90).all()


def test_confidence_comes_when_it_is_shown(source):
    source.show(STREAMS)
    frame = until(lambda: (f := next_frame(source)).confidence is not None and f)
    assert frame.confidence.shape == frame.depth_m.shape
    assert 0 <= frame.confidence.min() <= frame.confidence.max() <= 1
    assert frame.confidence.max() > 0


def test_a_slow_reader_of_new_frames_skips_some(camera, source):
    numbers = []
    for number in new_frames(source, lambda: len(numbers) == 3):
        numbers.append(number)
        time.sleep(0.2)  # of four frames of the camera
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] > 2


def test_status_and_parameters_arrive(source):
    source.show({'depth'})
    status = until(lambda: source.status().get('published') and source.status())
    assert status['state'] == 'running'
    assert status['engine']
    values = until(lambda: source.status()['parameters'])
    assert values['scale.factor'] == 1.0
    named = {each['name'] for each in source.facts()['parameters']}
    assert named == set(values)


def test_setting_the_scale_changes_depth_and_reset_resets(camera, source):
    source.show({'depth'})
    before = np.median(next_frame(source).depth_m)
    assert asyncio.run(source.set_parameter('scale.factor', 2)) == ''
    until(lambda: np.median(next_frame(source).depth_m) == pytest.approx(2 * before, rel=1e-3))
    assert 'cannot change' in asyncio.run(source.set_parameter('model', 'nano'))
    assert asyncio.run(source.reset()) == ''
    until(lambda: source.status().get('resets') == {'requested': 1})


def test_a_node_that_is_absent_is_named(ros):
    with LiveSource('/elsewhere/videodepth') as source:
        source.show({'depth'})
        until(lambda: source.status()['warnings'] == ['/elsewhere/videodepth is not running'])
        assert 'not running' in asyncio.run(source.reset())
        assert 'not running' in asyncio.run(source.set_parameter('scale.factor', 2.0))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed (apt install chromium)')
def test_a_slider_changes_the_depth_of_the_robot(camera, source):
    from test.support.view_rig import served

    slider = 'document.querySelector(\'[data-name="scale.factor"] input[type="range"]\')'
    with served(source, control=True) as address, browser_page() as page:
        page.open(address, 1000, 900)
        page.until('document.body.dataset.frames > 0')
        page.until(f'{slider}?.parentElement.lastElementChild.value === "1"')
        before = np.median(source.read(source.newest(), STREAMS).depth_m)
        page.evaluate(f'{slider}.value = 1; {slider}.oninput()')
        until(
            lambda: (
                np.median(source.read(source.newest(), STREAMS).depth_m)
                == pytest.approx(10 * before, rel=1e-3)
            )
        )
        page.until(f'{slider}.parentElement.classList.contains("changed")')
        far = page.evaluate("document.querySelectorAll('.scale span')[1].textContent")
        assert far.endswith(' m')
        assert not page.errors
