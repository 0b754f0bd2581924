# SPDX-License-Identifier: Apache-2.0
"""Images and calibration that Foxglove's writers record in Protobuf, as messages of ROS 2.

The fields are those of foxglove-sdk/schemas/proto; Protobuf keeps their numbers in every version
and skips unknown ones, so that the schema in the file is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import DecodeError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from videodepth_ros.bags.scan import Channel, RawMessage

ENCODING = 'protobuf'
VIDEO = 'foxglove_msgs/msg/CompressedVideo'
VIDEO_DEFINITION = (
    'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n'
    + '=' * 80
    + '\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n'
)

_TIMESTAMP = timestamp_pb2.DESCRIPTOR
_Field = descriptor_pb2.FieldDescriptorProto
_MATRICES = ('D', 'K', 'R', 'P')
_TYPES = {
    'data': _Field.TYPE_BYTES,
    'width': _Field.TYPE_FIXED32,
    'height': _Field.TYPE_FIXED32,
    'step': _Field.TYPE_FIXED32,
    **dict.fromkeys(_MATRICES, _Field.TYPE_DOUBLE),
}
"""Types of fields; others are texts."""


@dataclass(frozen=True)
class _Schema:
    """A message of Foxglove: the ROS type that it becomes, and the field of each number from 2."""

    ros_type: str
    fields: tuple[str, ...]
    to_ros: Callable[[Any, Typestore], Any]
    definition: str = ''


def as_ros_channel(channel: Channel) -> Channel:
    """Return a channel of one of ``SCHEMAS`` as that of its ROS messages; another one as it is."""
    schema = SCHEMAS.get(channel.msgtype)
    if channel.encoding != ENCODING or schema is None:
        return channel
    return replace(channel, msgtype=schema.ros_type, encoding='cdr', definition=schema.definition)


def as_ros_message(message: RawMessage) -> RawMessage:
    """Return a message of one of ``SCHEMAS`` in CDR; another one as it is.

    A damaged one becomes a message without bytes, which cannot be decoded.
    """
    channel, recorded_ns, data = message
    ros = as_ros_channel(channel)
    return message if ros is channel else (ros, recorded_ns, _cdr(channel.msgtype, data))


def _cdr(name: str, data: bytes) -> bytes:
    schema, found = SCHEMAS[name], _message_class(name)()
    try:
        found.ParseFromString(data)
        return bytes(_store().serialize_cdr(schema.to_ros(found, _store()), schema.ros_type))
    except (DecodeError, SerdeError, ValueError, OverflowError):
        return b''


def _video(found: Any, store: Typestore) -> Any:
    data = np.frombuffer(found.data, np.uint8)
    return store.types[VIDEO](_stamp(found, store), found.frame_id, data, found.format)


def _image(found: Any, store: Typestore) -> Any:
    data = np.frombuffer(found.data, np.uint8)
    return store.types['sensor_msgs/msg/CompressedImage'](
        _header(found, store), found.format, data
    )


def _raw_image(found: Any, store: Typestore) -> Any:
    return store.types['sensor_msgs/msg/Image'](
        _header(found, store),
        found.height,
        found.width,
        found.encoding,
        0,  # little endian, as the schema demands
        found.step,
        np.frombuffer(found.data, np.uint8),
    )


def _calibration(found: Any, store: Typestore) -> Any:
    sizes = {'K': 9, 'R': 9, 'P': 12}
    matrices = {
        name: np.array(getattr(found, name) or np.zeros(size)) for name, size in sizes.items()
    }
    if any(len(matrices[name]) != size for name, size in sizes.items()):
        raise ValueError(f'a matrix of the calibration has another size than {sizes}')
    return store.types['sensor_msgs/msg/CameraInfo'](
        header=_header(found, store),
        height=found.height,
        width=found.width,
        distortion_model=found.distortion_model,
        d=np.array(found.D, np.float64),
        **{name.lower(): matrix for name, matrix in matrices.items()},
        binning_x=0,
        binning_y=0,
        roi=store.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
    )


def _header(found: Any, store: Typestore) -> Any:
    return store.types['std_msgs/msg/Header'](_stamp(found, store), found.frame_id)


def _stamp(found: Any, store: Typestore) -> Any:
    stamp = found.timestamp
    return store.types['builtin_interfaces/msg/Time'](stamp.seconds, stamp.nanos)


SCHEMAS = {
    'foxglove.CompressedVideo': _Schema(
        VIDEO, ('frame_id', 'data', 'format'), _video, VIDEO_DEFINITION
    ),
    'foxglove.CompressedImage': _Schema(
        'sensor_msgs/msg/CompressedImage', ('data', 'format', 'frame_id'), _image
    ),
    'foxglove.RawImage': _Schema(
        'sensor_msgs/msg/Image',
        ('width', 'height', 'encoding', 'step', 'data', 'frame_id'),
        _raw_image,
    ),
    'foxglove.CameraCalibration': _Schema(
        'sensor_msgs/msg/CameraInfo',
        ('width', 'height', 'distortion_model', *_MATRICES, 'frame_id'),
        _calibration,
    ),
}
"""Messages that are read, by the name of their schema; field 1 of each is its timestamp."""


@cache
def _store() -> Typestore:
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(VIDEO_DEFINITION.partition('=')[0], VIDEO))
    return store


@cache
def _message_class(name: str) -> Any:
    """Return the Protobuf class of a schema."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f'{name}.proto', package='foxglove', syntax='proto3', dependency=[_TIMESTAMP.name]
    )
    message = file.message_type.add(name=name.rpartition('.')[2])
    message.field.add(
        name='timestamp',
        number=1,
        type=_Field.TYPE_MESSAGE,
        label=_Field.LABEL_OPTIONAL,
        type_name='.google.protobuf.Timestamp',
    )
    for number, field in enumerate(SCHEMAS[name].fields, start=2):
        label = _Field.LABEL_REPEATED if field in _MATRICES else _Field.LABEL_OPTIONAL
        kind = _TYPES.get(field, _Field.TYPE_STRING)
        message.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_TIMESTAMP.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
