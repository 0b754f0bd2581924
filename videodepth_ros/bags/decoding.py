# SPDX-License-Identifier: Apache-2.0
"""Deserialisation into rosbags' dataclasses, by the definitions in the recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)
from rosbags.typesys.store import Typestore

from videodepth_ros.bags.scan import Channel, decompress_message

_IDL_SEPARATOR = '=' * 80 + '\nIDL: '
_DEFAULT_STORES = {'cdr': Stores.ROS2_JAZZY, 'ros1': Stores.ROS1_NOETIC}
"""Types for recordings without definitions: sqlite3 ones from before Iron."""

Decode = Callable[[bytes], Any]


class MessageDecoder:
    """A decoder of messages; each type of each recording is compiled once."""

    def __init__(self) -> None:
        self._compiled: dict[Channel, Decode] = {}

    def decode(self, channel: Channel, data: bytes) -> Any:
        """Return the message.

        raises  one of `DECODE_ERRORS` if the data is damaged; ValueError if the type is unknown
        """
        if channel not in self._compiled:
            self._compiled[channel] = _compile(channel)
        return self._compiled[channel](decompress_message(data))


def _compile(channel: Channel) -> Decode:
    if channel.encoding not in _DEFAULT_STORES:
        return _raiser(f'its encoding {channel.encoding!r} is neither cdr nor ros1')
    try:
        store = typestore_for(channel)
    except (TypesysError, ValueError, LookupError) as error:
        return _raiser(f'its definition is damaged ({error})')
    if channel.msgtype not in store.fielddefs:
        return _raiser('its type is unknown and the recording does not define it')
    if missing := _missing_fields(store, _DEFAULT_STORES[channel.encoding]):
        return _raiser(f'its definition is damaged (it lacks {", ".join(missing)})')
    if channel.encoding == 'ros1':
        return lambda data: store.deserialize_ros1(data, channel.msgtype)
    return lambda data: store.deserialize_cdr(data, channel.msgtype)


def typestore_for(channel: Channel) -> Typestore:
    """Return the types that a recording defines, or rosbags' own where it defines none.

    raises  TypesysError, ValueError or LookupError if its definition is damaged
    """
    if not channel.definition:
        return get_typestore(_DEFAULT_STORES[channel.encoding])
    store = get_typestore(Stores.EMPTY)
    if not channel.is_idl:
        store.register(get_types_from_msg(channel.definition, channel.msgtype))
        return store
    # behind each separator comes the name of a file, on a line of its own
    parts = [part.partition('\n')[2] for part in channel.definition.split(_IDL_SEPARATOR)[1:]]
    for part in parts or [channel.definition]:
        store.register(get_types_from_idl(part))
    return store


def _missing_fields(store: Typestore, standard: Stores) -> list[str]:
    """Return the fields of standard types that a recording's definition of them does not have."""
    own = get_typestore(standard).fielddefs
    return [
        f'{field} of {name}'
        for name, (_, fields) in store.fielddefs.items()
        if name in own
        for field, _ in own[name][1]
        if field.lower() not in {each.lower() for each, _ in fields}
    ]


def _raiser(reason: str) -> Decode:
    """Return a decoder that raises."""

    def decode(data: bytes) -> Any:
        raise ValueError(reason)

    return decode
