# SPDX-License-Identifier: Apache-2.0
"""The real job through the node, and what it has written played back."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry, Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage
from videodepth.msg import OfflineStatus

from test.support import fake_jobs
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.messages.cloud import POINT
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import stamp_ns

FRAMES = 9


@pytest.fixture
def bag(tmp_path):
    make_sample(str(tmp_path / 'scene'), 'studios', 5, FRAMES / 10, 10.0, (96, 72))
    return tmp_path / 'scene'


def stamps(messages):
    return [stamp_ns(message.header.stamp) for message in messages]


def images_of(bag):
    with open_bag(bag) as reader:
        (topic,) = (topic.name for topic in reader.topics if topic.name.endswith('image_raw'))
        return topic, stamps(message for _, _, message in reader.messages([topic]))


def test_from_a_recording_to_topics(make_offline, bag):
    topic, expected = images_of(bag)
    rig = make_offline(fake_jobs.true, bag=str(bag), prior='bag', cloud__stride=1)
    heard = {
        name: rig.hear(name, kind)
        for name, kind in {
            'depth/image': Image,
            'depth/confidence': Image,
            'depth/points': PointCloud2,
            topic: Image,
            'odometry': Odometry,
        }.items()
    }
    previews = rig.hear('preview', Image)
    path = rig.hear('path', Path, latched=True)
    transforms = rig.hear('/tf', TFMessage)
    clock = rig.hear('/clock', Clock)
    rig.until(lambda: rig.node.status().playback == OfflineStatus.ENDED, timeout_s=120)
    assert rig.node.status().last_error == ''
    rig.until(lambda: all(len(messages) == FRAMES for messages in heard.values()) and path)
    assert previews
    for name, messages in heard.items():
        assert stamps(messages) == expected, name
    assert isinstance(path[0].poses[0], PoseStamped)
    assert len(path[0].poses) == FRAMES
    assert any(
        each.header.frame_id == path[0].header.frame_id
        for message in transforms
        for each in message.transforms
    )
    rig.until(lambda: {stamp_ns(message.clock) for message in clock} >= set(expected))
    cloud = np.frombuffer(heard['depth/points'][0].data, POINT)
    depth_m = decode_depth(heard['depth/image'][0]).reshape(-1)
    seen = np.isfinite(cloud['z'])
    np.testing.assert_array_equal(cloud['z'][seen], depth_m[seen])
    assert seen.mean() > 0.5
