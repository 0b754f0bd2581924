# SPDX-License-Identifier: Apache-2.0
"""Which requests are served."""

from __future__ import annotations

import pytest

from videodepth_ros.view.access import is_loopback, is_own_name, is_same_origin


@pytest.mark.parametrize(
    ('host', 'expected'),
    [('127.0.0.1', True), ('localhost', True), ('::1', True), ('0.0.0.0', False),
     ('192.168.1.4', False), ('robot', False)],
)  # fmt: skip
def test_loopback(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ('host', 'expected'),
    [('127.0.0.1:8090', True), ('[::1]:8090', True), ('localhost', True), ('robot:8090', True),
     ('robot.local:80', True), ('10.0.0.7', True), ('evil.example:8090', False), ('', False),
     ('robot.evil.example', False), ('[', False)],
)  # fmt: skip
def test_own_name(host, expected):
    assert is_own_name(host, 'robot') is expected


def test_origin():
    assert is_same_origin(None, '127.0.0.1:8090')
    assert is_same_origin('http://127.0.0.1:8090', '127.0.0.1:8090')
    assert not is_same_origin('http://127.0.0.1:3000', '127.0.0.1:8090')
    assert not is_same_origin('null', '127.0.0.1:8090')
