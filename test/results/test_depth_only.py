# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.results.bag import SourceRecording
from videodepth_ros.results.depth_only import write_depth_results
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.write import ResultOptions

STAMPS = np.array([10**9, 11 * 10**8, 12 * 10**8])
CAMERA = Intrinsics(8, 6, 7.0, 7.0, 3.5, 2.5)


def frame(stamp_ns):
    depth_m = np.full((6, 8), stamp_ns / 1e9, np.float32)
    return RefinedFrame(
        stamp_ns,
        'cam',
        depth_m,
        np.ones_like(depth_m),
        None,
        CAMERA,
        np.eye(4),
        np.zeros((6, 8, 3), np.uint8),
    )


@pytest.fixture
def source(tmp_path):
    with BagWriter(tmp_path / 'source') as writer:
        writer.write_transform(10**9, 'base', 'cam', np.eye(4), static=True)
        for ns in STAMPS.tolist():
            writer.write_image('/image', ns, 'cam', np.zeros((6, 8, 3), np.uint8))
    with open_bag(tmp_path / 'source') as bag:
        yield SourceRecording(bag, '/image')


def test_depth_is_written_and_no_pose_is_invented(tmp_path, source):
    facts = write_depth_results(
        map(frame, STAMPS.tolist()),
        STAMPS,
        source,
        tmp_path / 'out',
        ResultOptions(is_metric=False),
    )
    assert len(facts.outputs) == 3
    assert any('the scale is arbitrary' in note for note in facts.notes)
    with open_bag(tmp_path / 'out') as bag:
        counts = {topic.name: topic.count for topic in bag.topics}
        assert counts == {
            '/tf_static': 1,
            '/videodepth/depth/image': 3,
            '/videodepth/depth/camera_info': 3,
            '/videodepth/depth/confidence': 3,
        }
        depths = [decode_depth(m) for _, _, m in bag.messages(['/videodepth/depth/image'])]
    np.testing.assert_allclose([one[0, 0] for one in depths], STAMPS / 1e9, rtol=1e-6)
    assert 'Top-down map' not in (tmp_path / 'out' / 'report.html').read_text()


def test_without_frames_nothing_is_left(tmp_path, source):
    with pytest.raises(InputError, match='no frame to write'):
        write_depth_results([], STAMPS, source, tmp_path / 'out', ResultOptions())
    assert not (tmp_path / 'out').exists()
