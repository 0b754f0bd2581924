# SPDX-License-Identifier: Apache-2.0
"""What consumers read from the published bytes, each rule restated as their code has it.

Readers here use struct and numpy on the fields only, none of the package's decoders.
"""

from __future__ import annotations

import math
import re
import struct

import cv2
import numpy as np
import pytest
import yaml
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from test.support.instant_engine import FAR_M, NEAR_M, InstantEngine
from test.support.rig import HEIGHT, WIDTH, image_message, info_message
from videodepth_ros.messages.transforms import fill_transform
from videodepth_ros.nodes.image_frame import body_frame_fault, optical_frame_fault

OUTPUTS = {
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    'depth/points': PointCloud2,
    'depth/confidence': Image,
    'depth/color': Image,
    'depth/image/compressedDepth': CompressedImage,
    'rgb/image': Image,
    'rgb/camera_info': CameraInfo,
}
CANONICAL = 150 / math.sqrt(WIDTH * HEIGHT * 4 / 3)  # metres of nano at unit inverse depth
SKY = 1e-6  # inverse depth beyond every range


class SteppedEngine(InstantEngine):
    """A box before a wall, sky at the top, and a column that lies between box and wall."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.answer[: height // 8] = SKY
        self.answer[height // 4 : height // 2, width // 2] = 100 / 3


def outputs(make_rig, *, info: CameraInfo | None = None, **parameters):
    """Return the first message of every output for one image, by topic."""
    rig = make_rig(scale__steady='never', guided_edges='never', **parameters)
    rig.node.open_engine = SteppedEngine
    rig.start()
    received = {topic: rig.consume(topic, kind) for topic, kind in OUTPUTS.items()}
    images = rig.connect()
    if info is not None:
        rig.infos.publish(info)
        rig.until(lambda: rig.camera_info == info)
    received['depth/image'] = rig.received['depth/image']
    demand = lambda: vars(rig.node._worker._publishers.demand)  # noqa: E731
    rig.until(lambda: all(demand()[name] for name in demand() if name != 'obstacles'), 30)
    received['sent'] = [rig.send(images, picture())]
    rig.until(lambda: all(received.values()) or rig.counts.rejected, 30)
    assert not rig.counts.rejected, rig.node.status().last_error
    return {topic: messages[0] for topic, messages in received.items()}


def picture() -> Image:
    """Return an image whose sky, the top eighth, is bright; columns differ below it."""
    message = image_message(0)
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = np.arange(WIDTH) // 2
    pixels[..., 1] = np.arange(HEIGHT)[:, None] // 2
    pixels[: HEIGHT // 8] = 250
    message.data = pixels.tobytes()
    return message


def floats(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, '<f4').reshape(message.height, message.width)


@pytest.fixture(params=['camera', 'network'])
def found(request, make_rig):
    """Every output of one image, at the size of the camera and at that of a small network."""
    return outputs(make_rig, output=request.param, cloud__stride=1, max_pixels=11000)


@pytest.fixture
def exact(make_rig):
    return outputs(make_rig, cloud__stride=1, depth__invalid_value='zero')


def test_exact_time_consumers_find_equal_headers(found):
    """Nvblox, rtabmap_sync and depth_image_proc with exact_sync drop what differs by 1 ns."""
    headers = [each.header for each in found.values()]
    assert all(header == headers[0] for header in headers)


def test_depth_image_proc_and_rtabmap_find_rgb_and_depth_of_one_size(found):
    """Xyzrgb refuses other sizes; rtabmap compares the integer ratios of width and height."""
    depth, rgb = found['depth/image'], found['rgb/image']
    assert (rgb.width, rgb.height) == (depth.width, depth.height)
    for topic in ('rgb/camera_info', 'depth/camera_info'):
        assert (found[topic].width, found[topic].height) == (depth.width, depth.height)
    assert found['rgb/camera_info'] == found['depth/camera_info']


def test_nvblox_reads_tight_rows_of_known_encodings_and_k(found):
    """Its converters ignore step; colour is rgb8 or bgra8; intrinsics are those of K."""
    depth, rgb, info = (found[t] for t in ('depth/image', 'rgb/image', 'depth/camera_info'))
    assert (depth.encoding, depth.step, len(depth.data)) == (
        '32FC1',
        4 * depth.width,
        4 * depth.width * depth.height,
    )
    assert (rgb.encoding, rgb.step, len(rgb.data)) == (
        'rgb8',
        3 * rgb.width,
        3 * rgb.width * rgb.height,
    )
    assert not depth.is_bigendian
    K, P = np.reshape(info.k, (3, 3)), np.reshape(info.p, (3, 4))
    np.testing.assert_array_equal(K, P[:, :3])
    assert not np.any(info.d)
    assert list(info.r) == np.eye(3).ravel().tolist()


def test_nvblox_skips_zero_and_clears_at_infinity_only_in_the_sky(exact):
    """It integrates depth > 0; its view calculator takes NaN for a distance."""
    depth_m = floats(exact['depth/image'])
    assert not np.isnan(depth_m).any()
    assert (depth_m == 0).any()
    assert (depth_m >= 0).all()
    assert np.isinf(depth_m[: HEIGHT // 16]).all()
    assert not np.isinf(depth_m[HEIGHT // 4 :]).any()


def test_zero_stays_out_of_clouds(exact):
    """depth_image_proc and Nav2 mark the camera itself where a point is (0, 0, 0)."""
    cloud = exact['depth/points']
    z = np.frombuffer(cloud.data, '<f4').reshape(-1, 4)[:, 2]
    assert np.isnan(z).any()
    assert (z[~np.isnan(z)] > 0.5).all()


def test_depth_image_proc_makes_the_same_cloud_of_our_depth(found):
    """x = (u - cx) z / fx with fx, cx of P; not finite: NaN point (depth_conversions.hpp)."""
    depth_m, cloud = floats(found['depth/image']), found['depth/points']
    P = np.reshape(found['depth/camera_info'].p, (3, 4))
    v, u = np.indices(depth_m.shape)
    z = np.where(np.isfinite(depth_m), depth_m, np.nan)
    expected = np.stack([(u - P[0, 2]) * z / P[0, 0], (v - P[1, 2]) * z / P[1, 1], z], axis=-1)
    points = np.frombuffer(cloud.data, '<f4').reshape(*depth_m.shape, 4)[..., :3]
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-5)


def test_nav2_and_stvl_iterate_the_cloud_by_point_step(found):
    """PointCloud2ConstIterator needs FLOAT32 x, y, z; it strides over data, without rows."""
    cloud = found['depth/points']
    fields = {field.name: (field.offset, field.datatype) for field in cloud.fields}
    assert [fields[axis] for axis in 'xyz'] == [(0, 7), (4, 7), (8, 7)]
    assert cloud.row_step == cloud.width * cloud.point_step
    assert len(cloud.data) == cloud.row_step * cloud.height
    assert not cloud.is_bigendian
    step, count = cloud.point_step, cloud.width * cloud.height
    points = np.array([struct.unpack_from('<3f', cloud.data, step * n) for n in range(count)])
    unknown = np.isnan(points)
    assert (unknown.all(axis=1) == unknown.any(axis=1)).all()
    assert not np.isinf(points).any()
    assert cloud.is_dense is not unknown.any()


def test_rviz_finds_the_colour_of_a_point_packed_in_rgb(found):
    """Bits 0x00RRGGBB of a FLOAT32 named rgb, which are the pixels of rgb/image."""
    cloud, rgb = found['depth/points'], found['rgb/image']
    offset = next(field.offset for field in cloud.fields if field.name == 'rgb')
    words = np.frombuffer(cloud.data, '<u4').reshape(-1, cloud.point_step // 4)[:, offset // 4]
    pixels = np.frombuffer(rgb.data, np.uint8).reshape(-1, 3).astype(np.uint32)
    np.testing.assert_array_equal(
        words & 0xFFFFFF, pixels[:, 0] << 16 | pixels[:, 1] << 8 | pixels[:, 2]
    )


def test_rtabmap_stores_millimetres(make_rig):
    """rtabmap, cuVSLAM and slam datasets take 16UC1 in mm; 0 is unknown, as is the sky."""
    found = outputs(make_rig, depth__encoding='16UC1', depth__invalid_value='nan')
    depth = found['depth/image']
    assert (depth.encoding, depth.step) == ('16UC1', 2 * depth.width)
    mm = np.frombuffer(depth.data, '<u2').reshape(depth.height, depth.width)
    assert not mm[: HEIGHT // 16].any()
    z = np.frombuffer(found['depth/points'].data, '<f4').reshape(-1, 4)[:, 2]
    expected = {round(1000 * z_m * CANONICAL) for z_m in (NEAR_M, FAR_M)}
    assert set(np.unique(mm)) >= expected
    assert np.nanmax(z) == pytest.approx(mm.max() / 1000, abs=1e-3)


def from_rvl(data: bytes) -> np.ndarray:
    """Decode as rvl_codec.cpp: columns, rows, then nibbles of words, the highest first."""
    columns, rows = struct.unpack('<ii', data[:8])
    nibbles = (
        word >> shift & 15
        for (word,) in struct.iter_unpack('<I', data[8:])
        for shift in range(28, -1, -4)
    )

    def number() -> int:
        value, bits = 0, 0
        while True:
            nibble = next(nibbles)
            value |= (nibble & 7) << bits
            bits += 3
            if not nibble & 8:
                return value

    values, previous = [], 0
    while len(values) < rows * columns:
        values += [0] * number()
        for _ in range(number()):
            positive = number()
            previous += (positive >> 1) ^ -(positive & 1)
            values.append(previous)
    return np.array(values, np.uint16).reshape(rows, columns)


@pytest.mark.parametrize('form', ['png', 'rvl'])
@pytest.mark.parametrize('encoding', ['32FC1', '16UC1'])
def test_the_plugin_compressed_depth_decodes_the_image(make_rig, encoding, form):
    """compressed_depth_image_transport/codec.cpp: 12 bytes of header, then a PNG or RVL.

    Its subscriber takes the encoding from the format, up to the semicolon.
    """
    found = outputs(make_rig, depth__encoding=encoding, depth__compression=form)
    message, depth = found['depth/image/compressedDepth'], found['depth/image']
    assert message.format == f'{encoding}; compressedDepth {form}'
    data = bytes(message.data)
    kind, a, b = struct.unpack('<iff', data[:12])
    if form == 'rvl':
        stored = from_rvl(data[12:])
    else:
        stored = cv2.imdecode(np.frombuffer(data[12:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert (kind, stored.dtype) == (0, np.uint16)
    if encoding == '16UC1':
        mm = np.frombuffer(depth.data, '<u2').reshape(stored.shape)
        np.testing.assert_array_equal(stored, mm)
        return
    expected = floats(depth)
    known = np.isfinite(expected)
    np.testing.assert_array_equal(stored != 0, known)
    np.testing.assert_allclose(a / (stored[known] - np.float64(b)), expected[known], rtol=1e-3)


def test_depth_cloud_and_rtabmap_find_a_rectified_colour_image(make_rig):
    """A distorted camera: the colour at a pixel is that of the point seen there."""
    info = info_message()
    info.d = [-0.2, 0.05, 0.0, 0.0, 0.0]
    found = outputs(make_rig, info=info)
    assert not np.any(found['rgb/camera_info'].d)
    rgb, sent = found['rgb/image'], found['sent']
    raw = np.frombuffer(bytes(sent.data), np.uint8).reshape(HEIGHT, WIDTH, 3)
    K, P = np.reshape(info.k, (3, 3)), np.reshape(info.p, (3, 4))[:, :3]
    maps = cv2.initUndistortRectifyMap(K, np.array(info.d), None, P, (WIDTH, HEIGHT), cv2.CV_32FC1)
    expected = cv2.remap(raw, *maps, cv2.INTER_LINEAR)
    got = np.frombuffer(rgb.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    assert np.abs(got.astype(int) - expected).max() <= 2


def test_people_see_near_red_far_blue_unknown_grey(found):
    color, depth_m = found['depth/color'], floats(found['depth/image'])
    assert color.encoding == 'rgb8'
    colours = np.frombuffer(color.data, np.uint8).reshape(*depth_m.shape, 3).astype(int)
    near, sky = colours[depth_m < 1.1 * np.nanmin(depth_m)], colours[np.isinf(depth_m)]
    assert (near[:, 0] > near[:, 2]).all()
    assert (sky[:, 2] >= sky[:, 0]).all()
    unknown = colours[np.isnan(depth_m)]
    assert len(unknown)
    assert (unknown == unknown[0, 0]).all()


def test_a_confidence_threshold_makes_depth_and_cloud_unknown(make_rig):
    found = outputs(make_rig, cloud__stride=1, depth__min_confidence=0.9)
    confidence, depth_m = floats(found['depth/confidence']), floats(found['depth/image'])
    dropped = confidence == 0
    assert 0 < dropped.mean() < 1
    assert (confidence[~dropped & np.isfinite(depth_m)] >= 0.9).all()
    assert not np.isfinite(depth_m[dropped]).any()
    z = np.frombuffer(found['depth/points'].data, '<f4').reshape(*depth_m.shape, 4)[..., 2]
    np.testing.assert_array_equal(np.isnan(z), ~np.isfinite(depth_m))


@pytest.mark.parametrize('is_required', [False, True])
def test_relative_depth_is_marked_or_refused(make_rig, is_required):
    """REP-118: depth is in metres. Without camera_info that of nano is not."""
    rig = make_rig(depth__require_metric=is_required)
    rig.start()
    depths, images = rig.consume('depth/image', Image), rig.camera()
    rig.until(lambda: images.get_subscription_count())
    rig.send(images)
    assert (rig.counts.published, rig.counts.rejected) == (not is_required, is_required)
    if is_required:
        assert 'depth.require_metric' in rig.node.status().last_error
        assert not depths
    else:
        warnings = rig.node.warnings(rig.node.status())
        assert any('its unit is not the metre' in text for text in warnings)


def test_a_body_frame_is_named_with_the_transform_that_it_needs(rig):
    """REP-103; the rotation of the command, as static_transform_publisher applies it."""
    images = rig.connect()
    rig.send(images, image_message(0, frame_id='camera_link'))
    texts = [t for t in rig.node.warnings(rig.node.status()) if 'x forward' in t]
    (command,) = (text.split('`')[1] for text in texts)
    words = command.split()
    assert words[-4:] == ['--frame-id', 'camera_link', '--child-frame-id', 'camera_optical_frame']
    roll, pitch, yaw = (float(words[words.index(f'--{k}') + 1]) for k in ('roll', 'pitch', 'yaw'))
    x, y, z = (
        cv2.Rodrigues(np.array(axis) * angle)[0]
        for axis, angle in (((1.0, 0, 0), roll), ((0, 1.0, 0), pitch), ((0, 0, 1.0), yaw))
    )
    R_body_optical = z @ y @ x  # setRPY: about fixed axes
    np.testing.assert_allclose(R_body_optical @ [0, 0, 1], [1, 0, 0], atol=1e-4)  # forward
    np.testing.assert_allclose(R_body_optical @ [1, 0, 0], [0, -1, 0], atol=1e-4)  # right


R_LINK_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # REP-103


@pytest.mark.parametrize('pitch_deg', [0, 25, -20, 60])
@pytest.mark.parametrize(('rotation', 'is_body'), [(np.eye(3), True), (R_LINK_OPTICAL, False)])
def test_a_frame_with_z_up_by_tf_is_no_optical_one(rotation, is_body, pitch_deg):
    T = np.eye(4)
    T[:3, :3] = cv2.Rodrigues(np.array([0, np.radians(pitch_deg), 0]))[0] @ rotation
    fault = body_frame_fault('eye', 'base_footprint', T)
    assert bool(fault) == (is_body and abs(pitch_deg) < 30)
    if fault:
        assert "z up in 'base_footprint'" in fault
        assert '--frame-id eye --child-frame-id eye_optical_frame' in fault


@pytest.mark.timeout(60)
def test_tf_shows_a_body_frame_whatever_its_name(make_rig):
    rig = make_rig(base_frame='base')
    rig.start()
    images = rig.connect()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    static = rig.peer.create_publisher(TFMessage, '/tf_static', latched)
    rig.until(lambda: static.get_subscription_count() == 1)
    transform = TransformStamped(child_frame_id='eye')
    transform.header.frame_id = 'base'
    fill_transform(transform.transform, np.eye(4))
    static.publish(TFMessage(transforms=[transform]))
    rig.until(lambda: rig.node._scale.fused.transforms.parents('eye') != ['eye'])
    rig.send(images, image_message(0, frame_id='eye'))
    rig.until(lambda: rig.received['depth/image'])
    texts = rig.node.warnings(rig.node.status())
    assert [text for text in texts if "has z up in 'base'" in text]


@pytest.mark.parametrize('frame_id', ['camera', 'camera_optical_frame', 'link_optical', ''])
def test_other_frames_are_not_warned_of(frame_id):
    assert not optical_frame_fault(frame_id)


def test_the_configuration_in_the_documentation_reads_published_topics(root):
    """YAML of docs/consumers.md is valid, and its topics and remappings exist."""
    text = (root / 'docs/consumers.md').read_text()
    trees = [yaml.safe_load(block) for block in re.findall(r'```yaml\n(.*?)```', text, re.DOTALL)]
    assert {name for tree in trees for name in tree} >= {'local_costmap', 'nvblox_node'}
    topics = re.findall(r'(?:topic: |:=)/((?:depth|rgb)/[\w/]+)', text)
    assert len(topics) > 8
    assert set(topics) - {'depth/decoded'} <= set(OUTPUTS)


def test_the_body_of_the_robot_is_unknown_at_any_size_of_the_depth(make_rig, tmp_path):
    mask, path = np.zeros((HEIGHT, WIDTH), np.uint8), str(tmp_path / 'body.png')
    mask[HEIGHT // 2 :] = 255
    assert cv2.imwrite(path, mask)
    found = outputs(make_rig, output='network', max_pixels=11000, mask__file=path)
    depth_m = floats(found['depth/image'])
    half = depth_m.shape[0] // 2
    assert np.isnan(depth_m[half:]).all()
    assert np.isfinite(depth_m[half // 2 : half]).any()
