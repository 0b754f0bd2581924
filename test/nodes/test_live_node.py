# SPDX-License-Identifier: Apache-2.0
"""From message to message: what comes out for what goes in."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from test.support.instant_engine import FAR_M, NEAR_M
from test.support.rig import HEIGHT, WIDTH, image_message, info_message
from videodepth_ros.engines.graph import Layout
from videodepth_ros.engines.torch_cuda_engine import TorchCudaEngine
from videodepth_ros.engines.torch_plan import TorchPlan
from videodepth_ros.models.catalogue import card, weights_path
from videodepth_ros.models.flashdepth import load_flashdepth
from videodepth_ros.models.variants import config_of


def depth_of(message: Image) -> np.ndarray:
    assert message.encoding == '32FC1'
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


def test_an_image_becomes_depth_under_its_own_header(rig):
    images = rig.connect()
    sent = rig.send(images)
    depth = rig.until(lambda: rig.received['depth/image'])[0]
    assert depth.header == sent.header
    values = depth_of(depth)
    assert values.shape == (HEIGHT, WIDTH)
    assert np.isfinite(values).all()
    assert values.max() / values.min() == pytest.approx(FAR_M / NEAR_M, rel=1e-4)


def test_diagnostics_have_the_latency_of_each_stage(rig):
    entries = rig.consume('/diagnostics', DiagnosticArray)
    images = rig.connect()
    rig.send(images)
    rig.until(lambda: rig.received['depth/image'])
    rig.node._publish_status()
    rig.until(lambda: any('network_p50_ms' in values_of(entry) for entry in entries))
    values = next(values_of(entry) for entry in entries if 'network_p50_ms' in values_of(entry))
    stages = ('wait', 'decode', 'network', 'postprocess', 'publish')
    found_s = [float(values[f'{stage}_p50_ms']) / 1e3 for stage in stages]
    assert min(found_s) >= 0
    assert sum(found_s) == pytest.approx(float(values['latency_p50_s']), rel=0.02)
    assert not [key for key in values if key.startswith('gpu_')]


def values_of(array: DiagnosticArray) -> dict[str, str]:
    return {each.key: each.value for each in array.status[0].values}


def test_camera_info_and_cloud_belong_to_the_depth(make_rig):
    rig = make_rig(output='network', cloud__stride=2)
    rig.start()
    infos, clouds = (
        rig.consume('depth/camera_info', CameraInfo),
        rig.consume('depth/points', PointCloud2),
    )
    images = rig.connect()
    sent = rig.send(images)
    rig.until(lambda: infos and clouds and rig.received['depth/image'])
    depth, info, cloud = rig.received['depth/image'][0], infos[0], clouds[0]
    assert depth.header == info.header == cloud.header == sent.header
    assert (info.width, info.height) == (depth.width, depth.height)
    assert info.p[0] == info.k[0] == pytest.approx(150 * depth.width / WIDTH)
    assert (cloud.width, cloud.height) == (-(-depth.width // 2), -(-depth.height // 2))
    points = np.frombuffer(cloud.data, np.float32).reshape(cloud.height, cloud.width, 4)
    np.testing.assert_allclose(points[..., 2], depth_of(depth)[::2, ::2], rtol=1e-6)


def test_a_cloud_that_the_engine_made_is_published_as_it_is(make_rig):
    """The engine for GPUs on the CPU, with the bundled network."""
    rig = make_rig(output='network', cloud__stride=1, scale__steady='never', guided_edges='never')
    network = load_flashdepth(config_of('nano'), weights_path(card('nano')))
    fetched = []

    class Watched(TorchCudaEngine):
        def run(self, image, state, wanted, view=None):
            fetched.append(wanted)
            return super().run(image, state, wanted, view)

    rig.node.open_engine = lambda width, height: Watched(
        TorchPlan(
            network, 'nano', Layout(width, height, width, height), precision='fp32', device='cpu'
        )
    )
    rig.start()
    clouds = rig.consume('depth/points', PointCloud2)
    images = rig.connect()
    rig.until(lambda: rig.node._worker._publishers.demand.points)
    sent = rig.send(images)
    rig.until(lambda: clouds and rig.received['depth/image'])
    depth, cloud = rig.received['depth/image'][0], clouds[0]
    assert set(fetched[-1]) == {'depth', 'total', 'inverse_depth', 'cloud'}
    assert cloud.header == sent.header
    assert (cloud.width, cloud.height) == (depth.width, depth.height)
    z = np.frombuffer(cloud.data, np.float32).reshape(cloud.height, cloud.width, 4)[..., 2]
    expected = depth_of(depth)
    np.testing.assert_array_equal(z, np.where(np.isfinite(expected), expected, np.nan))


def test_confidence_has_the_size_of_the_depth(rig):
    confidences = rig.consume('depth/confidence', Image)
    images = rig.connect()
    rig.send(images)
    rig.until(lambda: confidences)
    values = depth_of(confidences[0])
    assert values.shape == (HEIGHT, WIDTH)
    assert ((values >= 0) & (values <= 1)).all()


def test_without_a_calibration_there_is_depth_but_no_cloud(rig):
    clouds = rig.consume('depth/points', PointCloud2)
    depths = rig.consume('depth/image', Image)
    images = rig.camera()
    rig.until(lambda: images.get_subscription_count())
    rig.send(images)
    rig.until(lambda: depths)
    assert not clouds
    assert any('camera_info' in text for text in warnings(rig))
    assert rig.node.status().scale_source == 'model'


def warnings(rig) -> list[str]:
    return rig.node.warnings(rig.node.status())


def test_the_cloud_has_a_rate_of_its_own(make_rig):
    rig = make_rig(cloud__max_rate_hz=10.0)
    rig.start()
    clouds = rig.consume('depth/points', PointCloud2)
    images = rig.connect()
    for _ in range(12):  # 0.36 s of data at 30 Hz
        rig.send(images)
    rig.until(lambda: len(rig.received['depth/image']) == 12 and len(clouds) >= 4)
    assert len(clouds) == 4  # of every third image, 99 ms after the one before


def test_nothing_is_computed_without_subscribers(rig):
    images = rig.camera()
    rig.until(lambda: rig.node.status().state == 'idle')
    assert images.get_subscription_count() == 0
    subscription = rig.peer.create_subscription(Image, 'depth/image', lambda _: None, 1)
    rig.until(lambda: images.get_subscription_count() == 1)
    rig.send(images)
    rig.until(lambda: rig.node.status().state == 'running')
    rig.peer.destroy_subscription(subscription)
    rig.until(lambda: images.get_subscription_count() == 0)
    assert rig.node.status().published == 1


def test_the_state_is_kept_warm_on_demand(make_rig):
    rig = make_rig(keep_state_warm=True)
    rig.start()
    images = rig.camera()
    rig.until(lambda: images.get_subscription_count() == 1)
    for _ in range(3):
        rig.send(images)
    assert rig.node.engines[0].seen == [0, 1, 2]


def break_data(message):
    message.data = message.data[:100]


def break_encoding(message):
    message.encoding = 'palette8'


def break_step(message):
    message.step, message.data = 10, message.data[:-1]


def break_size(message):
    message.width = message.height = 0


@pytest.mark.parametrize(
    ('breakage', 'says'),
    [
        (break_data, 'bytes'),
        (break_encoding, 'palette8'),
        (break_step, 'step'),
        (break_size, 'no pixels'),
    ],
)
def test_a_bad_image_is_rejected_and_the_stream_goes_on(rig, breakage, says):
    images = rig.connect()
    rig.send(images)
    bad = image_message(1)
    breakage(bad)
    rig.send(images, bad)
    assert rig.counts.rejected == 1
    assert says in rig.node.status().last_error
    assert any('rejected' in text for text in warnings(rig))
    rig.send(images, image_message(2))
    assert rig.node.engines[0].seen == [0, 1]
    assert rig.counts.published == 2


def test_an_image_of_another_size_than_camera_info_is_rejected(rig):
    images = rig.connect()
    rig.send(images, image_message(0, width=64, height=96))
    assert rig.counts.rejected == 1
    assert 'camera_info' in rig.node.status().last_error


def test_a_repeated_stamp_is_rejected(rig):
    images = rig.connect()
    for _ in range(2):
        rig.send(images, image_message(0))
    assert (rig.counts.published, rig.counts.rejected) == (1, 1)


def test_an_uncalibrated_camera_gives_depth_without_a_cloud(rig):
    info = info_message()
    info.k, info.p = [0.0] * 9, [0.0] * 12
    rig.send(rig.connect(info))
    rig.until(lambda: rig.received['depth/image'])
    assert any('uncalibrated' in text for text in warnings(rig))


def test_overload_displaces_and_every_counter_adds_up(rig):
    images = rig.connect()
    for k in range(300):
        images.publish(image_message(k))
        rig.executor.spin_once(timeout_sec=0)
    rig.until(lambda: rig.counts.in_flight == 0)
    status = rig.node.status()
    assert status.received == (
        status.published + status.displaced + status.rejected + status.in_flight
    )
    assert 0 < status.published <= status.received <= 300
    assert status.rejected == 0


def test_the_quality_of_service_of_each_output_can_be_overridden(make_rig):
    name = 'qos_overrides./depth/image.publisher.reliability'
    rig = make_rig(**{name: 'best_effort'})
    topics, offers = ('/depth/image', '/depth/points'), rig.peer.get_publishers_info_by_topic
    for _ in range(2):  # the parameter is declared once, the publisher made twice
        rig.start()
        rig.until(lambda: all(map(offers, topics)))
        quality = {topic: offers(topic)[0].qos_profile.reliability for topic in topics}
        assert quality == {
            '/depth/image': ReliabilityPolicy.BEST_EFFORT,
            '/depth/points': ReliabilityPolicy.RELIABLE,
        }
        rig.node.trigger_deactivate()
        rig.node.trigger_cleanup()
