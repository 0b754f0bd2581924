# SPDX-License-Identifier: Apache-2.0
"""The header stamp of a serialised message, read and replaced without decoding the rest.

CDR as ROS 2 writes it: four bytes of encapsulation, of which the second is 1 for little endian,
then the header's stamp: int32 seconds, uint32 nanoseconds.
"""

from __future__ import annotations

import struct

from videodepth_ros.core.errors import BagError

_STAMP_AT = 4


def header_stamp_ns(cdr: bytes | memoryview) -> int:
    """Return the header stamp of a message [ns].

    raises  BagError if it has no header
    """
    seconds, nanoseconds = struct.unpack_from(_stamp_format(cdr), cdr, _STAMP_AT)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def with_header_stamp(cdr: bytes | memoryview, stamp_ns: int) -> bytes:
    """Return a message with another header stamp.

    raises  BagError if it has no header
    """
    changed = bytearray(cdr)
    struct.pack_into(_stamp_format(cdr), changed, _STAMP_AT, *divmod(stamp_ns, 1_000_000_000))
    return bytes(changed)


def _stamp_format(cdr: bytes | memoryview) -> str:
    if len(cdr) < 12 or cdr[0] != 0 or cdr[1] not in (0, 1):
        raise BagError(
            f'a message of {len(cdr)} bytes has no CDR header: '
            'the type of the topic does not start with std_msgs/Header'
        )
    return '<iI' if cdr[1] else '>iI'
