# SPDX-License-Identifier: Apache-2.0
"""Coloured point clouds of a playback: a depth image and the camera image of the same stamp."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2

from videodepth_ros.bags.cdr import header_stamp_ns
from videodepth_ros.bags.types import STORE
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.cloud import write_cloud
from videodepth_ros.messages.frame import FrameDecoder, needs_rectification
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.nodes.offline_parameters import OfflineParameters
from videodepth_ros.nodes.playlist import Entry, Playlist

DEPTH, DEPTH_INFO = ('depth/image', 'depth/image/compressedDepth'), 'depth/camera_info'
WHITE = np.full((1, 1, 3), 255, np.uint8)
"""Colour of points without an image, (1, 1, 3) uint8."""


class CloudBuilder:
    """Collect the messages of one stamp, in any order, and build their cloud."""

    def __init__(self, playlist: Playlist) -> None:
        self._playlist = playlist
        self._stamp_ns = -1
        self._depth: Entry | None = None
        self._depth_info: Entry | None = None
        self._image: Entry | None = None
        self._info: Entry | None = None  # of the camera; valid until the next
        self._message = PointCloud2()

    def add(self, entry: Entry) -> bool:
        """Keep a message that a cloud needs; True if the cloud of its stamp is complete."""
        track = entry.track
        if track == self._playlist.info:
            self._info = entry
        if track.topic not in (*DEPTH, DEPTH_INFO) and track != self._playlist.image:
            return False
        stamp_ns = header_stamp_ns(entry.data)
        if stamp_ns != self._stamp_ns:
            self._depth = self._depth_info = self._image = None
            self._stamp_ns = stamp_ns
        if track.topic in DEPTH:
            self._depth = entry
        elif track.topic == DEPTH_INFO:
            self._depth_info = entry
        else:
            self._image = entry
        return (
            self._depth is not None
            and self._depth_info is not None
            and (self._image is not None or self._playlist.image is None)
        )

    def cloud(self, parameters: OfflineParameters) -> PointCloud2 | None:
        """Return the cloud, which the next one overwrites; None if the camera is uncalibrated.

        Raise InputError if image or depth cannot be decoded.
        """
        assert self._depth is not None
        assert self._depth_info is not None
        depth = _decoded(self._depth)
        depth_m = decode_depth(depth)
        camera = intrinsics_from(_decoded(self._depth_info), depth_m.shape[1], depth_m.shape[0])
        if camera is None:
            return None
        write_cloud(
            depth_m,
            self._colours(parameters.rectify),
            camera,
            parameters.cloud_stride,
            parameters.cloud_max_range_m or np.inf,
            self._message,
        )
        set_stamp(self._message.header.stamp, self._stamp_ns)
        self._message.header.frame_id = depth.header.frame_id
        return self._message

    def _colours(self, rectify: str) -> NDArray[np.uint8]:
        if self._image is None or self._playlist.image is None:
            return WHITE
        info = None if self._info is None else _decoded(self._info)
        distorted = needs_rectification(self._playlist.image.source, rectify)
        return FrameDecoder(rectify=distorted).decode(_decoded(self._image), info).image


def _decoded(entry: Entry) -> Any:
    return STORE.deserialize_cdr(entry.data, entry.track.type)
