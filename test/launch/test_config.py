# SPDX-License-Identifier: Apache-2.0
"""The files that come with the package, as far as they can be read without launch and RViz."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
import yaml

pytest.importorskip('rclpy', reason='the parameters of the node need ROS 2')

from test.support.parameter_trees import flat
from videodepth_ros.core.options import from_values
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.transport import package_file

OUTPUTS = {'depth/image', 'depth/points', 'depth/camera_info', 'depth/confidence'}
REFINED = OUTPUTS | {'path', 'odometry', 'preview'}


@pytest.mark.parametrize('preset', ['nav2', 'nvblox', 'rtabmap'])
def test_a_preset_holds_allowed_values(root, preset):
    text = (root / f'config/presets/{preset}.yaml').read_text()
    assert from_values(LiveParameters, flat(yaml.safe_load(text)['/**']['ros__parameters']))


@pytest.mark.parametrize(
    ('name', 'outputs', 'latched'), [('live', OUTPUTS, set()), ('offline', REFINED, {'path'})]
)
def test_rviz_shows_existing_topics_with_compatible_quality_of_service(
    root, name, outputs, latched
):
    text = (root / f'config/rviz/{name}.rviz').read_text()
    manager = yaml.safe_load(text)['Visualization Manager']
    topics = [display['Topic'] for display in manager['Displays'] if 'Topic' in display]
    assert {topic['Value'] for topic in topics} <= outputs | {'image'}
    for topic in topics:
        wanted = (
            ('Reliable', 'Transient Local')
            if topic['Value'] in latched
            else ('Best Effort', 'Volatile')
        )
        assert (topic['Reliability Policy'], topic['Durability Policy']) == wanted


def test_the_profile_has_room_for_large_messages():
    name = '{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}'
    profile = ET.parse(package_file('config/fastdds.xml'))
    assert int(profile.find(f'.//{name}segment_size').text) >= 64 << 20
    participant = profile.find(f'.//{name}participant')
    assert participant.get('is_default_profile') == 'true'
    wanted = {transport.text for transport in participant.iter(f'{name}transport_id')}
    defined = {
        transport.text
        for descriptor in profile.iter(f'{name}transport_descriptor')
        for transport in descriptor.iter(f'{name}transport_id')
    }
    assert wanted == defined
