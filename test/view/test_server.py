# SPDX-License-Identifier: Apache-2.0
"""The protocol between server and page, without a browser."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

pytest.importorskip('websockets', reason='the page needs the extra view: pip install websockets')

from websockets.exceptions import ConnectionClosed, InvalidStatus

from test.support.view_rig import Browser, MadeUpSource, get, served
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.view.options import ServerOptions, ViewOptions
from videodepth_ros.view.server import FILES, ViewServer


@pytest.fixture
def source():
    return MadeUpSource()


@pytest.mark.parametrize('path', FILES)
def test_its_files_are_served(source, path):
    with served(source) as address:
        status, body = get(address + path)
    assert status == 200
    assert len(body) > 500


@pytest.mark.parametrize(
    'path',
    ['/../setup.cfg', '/%2e%2e/setup.cfg', '/three.LICENSE', '//etc/passwd', '/ws/', '/map'],
)
def test_nothing_else_is_served(source, path):
    with served(source) as address:
        assert get(address + path)[0] == 404


def test_a_foreign_name_is_refused(source):
    with served(source) as address:
        assert get(address, Host='evil.example')[0] == 403


def test_a_page_of_another_site_is_refused(source):
    with served(source) as address:
        with pytest.raises(InvalidStatus, match='403'):
            Browser(address, origin='http://evil.example').__enter__()
        with Browser(address, origin=address) as browser:
            assert browser.until('facts')['title'] == 'made up'


def test_a_browser_receives_the_newest_frame_and_then_newer_ones(source):
    with served(source) as address, Browser(address) as browser:
        source.publish()
        header, blobs = browser.ask(-1)
        assert header['number'] == 0
        assert set(blobs) == {'image', 'depth'}
        assert source.shown == {'image', 'depth'}
        browser.send(frame=0, streams=['depth'])
        with pytest.raises(TimeoutError):
            browser.socket.recv(timeout=0.3)
        for _ in range(3):
            source.publish()
        header, blobs = browser.receive()
        assert header['number'] in (1, 2, 3)
        assert set(blobs) == {'depth'}
        levels = np.frombuffer(blobs['depth'], '<u2')
        np.testing.assert_allclose(
            levels * header['depth']['unit'], 1 + header['number'], rtol=1e-4
        )
        header, _ = browser.ask(header['number']) if header['number'] < 3 else (header, {})
        assert header['number'] == 3


def test_nothing_is_shown_once_the_last_browser_has_gone(source):
    with served(source) as address:
        with Browser(address) as browser:
            source.publish()
            browser.ask(-1)
        deadline_s = time.monotonic() + 30
        while source.shown:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


def test_a_browser_that_stalls_slows_nobody(source):
    with served(source, max_rate_hz=1000.0) as address:
        with Browser(address) as slow, Browser(address) as quick:
            slow.until('facts')
            slow.send(frame=-1, streams=['image', 'depth'])  # and never reads again
            for number in range(50):
                source.publish()
                header, _ = quick.ask(number - 1)
                assert header['number'] == number
            assert source.reads <= 51


def test_frames_are_encoded_once_for_all(source):
    with served(source) as address:
        with Browser(address) as one, Browser(address) as other:
            source.publish()
            assert one.ask(-1) == other.ask(-1)
    assert source.reads == 1


def test_the_rate_is_limited(source):
    with served(source, max_rate_hz=20.0) as address, Browser(address) as browser:
        begun_s = time.monotonic()
        for number in range(5):
            source.publish()
            browser.ask(number - 1)
        assert time.monotonic() - begun_s > 4 / 20.0 - 0.02


def test_status_is_sent_when_it_changes(source):
    with served(source) as address, Browser(address) as browser:
        assert browser.until('status')['warnings'] == []
        source.warn('too dark')
        assert browser.until('status')['warnings'] == ['too dark']


def test_a_damaged_frame_is_an_error_and_the_next_is_shown(source):
    with served(source) as address, Browser(address) as browser:
        source.is_broken = True
        source.publish()
        browser.send(frame=-1, streams=['depth'])
        assert browser.until('error') == 'this frame is damaged'
        source.is_broken = False
        source.publish()
        assert browser.ask(0)[0]['number'] == 1


def test_it_is_read_only_unless_control_is_given(source):
    with served(source) as address, Browser(address) as browser:
        browser.send(set='known', value=2.0)
        assert '--control' in browser.until('refused')
        browser.send(reset=True)
        assert '--control' in browser.until('refused')
    assert not source.values
    assert not source.resets


def test_parameters_are_set_and_refusals_reported(source):
    with served(source, control=True) as address, Browser(address) as browser:
        browser.send(set='known', value=2.0)
        assert browser.until('refused') == ''
        browser.send(set='other', value=1)
        assert browser.until('refused') == 'other is unknown'
        browser.send(reset=True)
        assert browser.until('refused') == ''
    assert source.values == {'known': 2.0, 'other': 1}
    assert source.resets == 1


@pytest.mark.parametrize(
    'text',
    [
        '{',
        '[]',
        '{"what": 1}',
        '{"frame": "x"}',
        '{"frame": 1e999}',
        2000 * '[',
        '{"set": "known"}',
    ],
)
def test_a_malformed_message_closes_that_connection_only(source, text):
    with served(source, control=True) as address, Browser(address) as other:
        with Browser(address) as browser:
            browser.socket.send(text)
            with pytest.raises(ConnectionClosed) as closed:
                browser.until('nothing')
        assert closed.value.rcvd.code == 1003  # unacceptable data, not a failure of the server
        source.publish()
        assert other.ask(-1)[0]['number'] == 0


def test_the_number_of_browsers_is_limited(source):
    with served(source, ServerOptions(max_clients=1)) as address, Browser(address) as browser:
        browser.until('facts')
        with pytest.raises(InvalidStatus, match='503'):
            Browser(address).__enter__()


def test_a_port_in_use_is_an_error(source):
    with served(source) as address:
        port = int(address.rpartition(':')[2])
        server = ViewServer(source, ViewOptions(port=port))
        with pytest.raises(ConfigError, match=f'{port} cannot be used'):
            asyncio.run(server.run(lambda text: None, lambda: True))
