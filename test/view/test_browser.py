# SPDX-License-Identifier: Apache-2.0
"""The page and the report in a real browser: pixels follow the scene."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('websockets', reason='the page needs the extra view: pip install websockets')

from test.support.browser import CHROMIUM, browser_page
from test.support.view_rig import CAMERA, HEIGHT, WIDTH, MadeUpSource, served
from videodepth_ros.results.map_page import MapScene, map_scene, scene_values
from videodepth_ros.results.point_cloud import POINT
from videodepth_ros.results.report import template
from videodepth_ros.view.source import ViewFrame

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason='Chromium is not installed (apt install chromium)'
    ),
]


@pytest.fixture(scope='module')
def page():
    with browser_page() as page:
        yield page


class Wall(MadeUpSource):
    """A wall of one colour at one distance."""

    colour, depth_m = (200, 30, 30), 2.0

    def read(self, number, streams):
        return ViewFrame(
            number,
            'camera',
            np.full((HEIGHT, WIDTH, 3), self.colour, np.uint8),
            np.full((HEIGHT, WIDTH), self.depth_m, np.float32),
            np.full((HEIGHT, WIDTH), 0.5, np.float32) if 'confidence' in streams else None,
            CAMERA,
        )

    def facts(self):
        return {**super().facts(), 'streams': ['image', 'depth', 'confidence']}


def shown(page, source):
    """Publish a frame and wait until it is drawn."""
    before = int(page.evaluate('document.body.dataset.frames') or 0)
    source.publish()
    page.until(f'document.body.dataset.frames > {before}')


def ink(picture):
    """Return how many pixels are red, and how many green."""
    red, green, _ = picture.astype(int).transpose(2, 0, 1)
    return int((red > green + 80).sum()), int((green > red + 80).sum())


def test_pixels_follow_the_scene(page):
    source = Wall()
    with served(source) as address:
        page.open(address, 1000, 700)
        shown(page, source)
        red, green = ink(page.crop('#cloud canvas'))
        assert red > 2000
        assert green == 0
        assert ink(page.crop('#image canvas'))[0] > 1000
        source.colour, source.depth_m = (30, 200, 30), 4.0
        shown(page, source)
        farther = page.crop('#cloud canvas')
        assert ink(farther)[0] < 100
        assert ink(farther)[1] > 2000
        assert ink(page.crop('#image canvas'))[1] > 1000
    assert not page.errors


def point_at_the_depth(page):
    page.evaluate(
        "{const canvas = document.querySelector('#depth canvas'); "
        'const {x, y} = canvas.getBoundingClientRect(); '
        "canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: x, clientY: y}))}"
    )


def test_the_depth_under_the_pointer_is_shown(page):
    source = Wall()
    with served(source) as address:
        page.open(address, 1000, 700)
        shown(page, source)
        point_at_the_depth(page)
        assert page.evaluate("document.querySelector('#depth output').value") == '2.00 m'


class MovableWall(Wall):
    """A wall whose distance is a parameter."""

    def facts(self):
        distance = {'name': 'distance', 'type': 'double', 'unit': 'm', 'description': ''}
        limits = {'minimum': 0.5, 'maximum': 8.0, 'default': 2.0, 'choices': []}
        return {**super().facts(), 'parameters': [{**distance, **limits}]}

    async def set_parameter(self, name, value):
        self.depth_m = value
        self.publish()
        return ''


def test_a_slider_changes_the_depth(page):
    source = MovableWall()
    with served(source, control=True) as address:
        page.open(address, 1000, 1200)
        shown(page, source)
        point_at_the_depth(page)
        page.evaluate(
            "{const slider = document.querySelector('#parameters input[type=range]');"
            'slider.value = 1; slider.oninput()}'
        )
        page.until("document.querySelector('#depth output').value === '8.00 m'")
    assert not page.errors


def test_confidence_is_sent_when_it_is_shown(page):
    source = Wall()
    with served(source) as address:
        page.open(address, 1000, 900)
        shown(page, source)
        assert 'confidence' not in source.shown
        page.evaluate("document.querySelector('#confidence button').click()")
        shown(page, source)
        shown(page, source)
        assert 'confidence' in source.shown
        middle = page.crop('#confidence canvas')
        assert abs(int(np.median(middle)) - 127) <= 2


def test_warnings_and_a_lost_connection_are_shown(page):
    source = Wall()
    with served(source) as address:
        page.open(address, 1000, 700)
        page.until("document.querySelector('#state').textContent === 'running'")
        source.warn('the lens is dirty <b>')
        page.until("document.querySelector('#warnings').textContent === 'the lens is dirty <b>'")
    page.until("document.querySelector('#state').textContent === 'no connection'")


def test_a_phone_has_everything_in_one_column(page):
    source = Wall()
    with served(source) as address:
        page.open(address, 390, 844)
        shown(page, source)
        assert page.evaluate('document.documentElement.scrollWidth') <= 390
        assert ink(page.crop('#cloud canvas'))[0] > 1000


def test_image_and_depth_are_shown_without_the_cloud(page):
    source = Wall()
    page.call('Network.enable')
    page.call('Network.setBlockedURLs', urls=['*three.min.js'])
    try:
        with served(source) as address:
            page.open(address, 1000, 700)
            shown(page, source)
            assert ink(page.crop('#image canvas'))[0] > 1000
            page.until("document.querySelector('#grid').textContent.startsWith('There is no')")
    finally:
        page.call('Network.setBlockedURLs', urls=[])
    assert not page.errors


def test_the_report_draws_its_map(page, tmp_path):
    rng = np.random.default_rng(0)
    cloud = np.zeros(4000, POINT)
    cloud['x'], cloud['y'] = rng.uniform(-2, 2, (2, 4000))
    cloud['red'] = 220
    scene = map_scene(cloud, np.tile(np.eye(4), (2, 1, 1)))
    assert isinstance(scene, MapScene)
    path = tmp_path / 'report.html'
    path.write_text(
        template('videodepth_ros.results', 'map.html.j2').render(
            scene=scene_values(scene), unit='m'
        )
    )
    page.open(path.as_uri(), 900, 700)
    page.until("document.querySelector('#map span')?.textContent.startsWith('grid of')")
    assert ink(page.crop('#map canvas'))[0] > 5000
    assert not page.errors
