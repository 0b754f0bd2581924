# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videodepth_ros.bags.cdr import header_stamp_ns, with_header_stamp
from videodepth_ros.bags.types import STORE, new_message
from videodepth_ros.core.errors import BagError
from videodepth_ros.messages.transforms import set_stamp, stamp_ns

IMAGE = 'sensor_msgs/msg/Image'
STAMPS = st.integers(0, 2**31 * 10**9 - 1)


def serialised(ns: int, *, little_endian: bool = True) -> bytes:
    message = new_message(IMAGE)
    set_stamp(message.header.stamp, ns)
    message.header.frame_id, message.width = 'optical', 7
    return bytes(STORE.serialize_cdr(message, IMAGE, little_endian=little_endian))


@given(STAMPS, STAMPS, st.booleans())
def test_only_the_stamp_changes(before_ns, after_ns, little_endian):
    raw = serialised(before_ns, little_endian=little_endian)
    assert header_stamp_ns(raw) == before_ns
    changed = with_header_stamp(raw, after_ns)
    assert header_stamp_ns(changed) == after_ns
    message = STORE.deserialize_cdr(changed, IMAGE)
    assert stamp_ns(message.header.stamp) == after_ns
    assert (message.header.frame_id, message.width) == ('optical', 7)
    assert with_header_stamp(changed, before_ns) == raw


@pytest.mark.parametrize('raw', [b'', b'\x00\x01\x00\x00\x05', b'\x07\x01' + bytes(20)])
def test_messages_without_a_header_are_rejected(raw):
    with pytest.raises(BagError, match='has no CDR header'):
        header_stamp_ns(raw)
