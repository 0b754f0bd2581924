# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from test.support.results_bag import CAMERA, DEPTH_M, stamp_of, write_recording
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.cloud import POINT
from videodepth_ros.nodes.cloud_builder import CloudBuilder
from videodepth_ros.nodes.offline_parameters import OfflineParameters
from videodepth_ros.nodes.playlist import PlaybackSources, Playlist

PARAMETERS = OfflineParameters(cloud_stride=2, cloud_max_range_m=5.0)


@pytest.fixture
def make_results(tmp_path):
    def make(frames=2, *, compressed=False, camera: Intrinsics = CAMERA):
        depth_m = np.full((24, 32), DEPTH_M, np.float32)
        depth_m[0], depth_m[2] = np.nan, 7.0
        with BagWriter(tmp_path / 'results') as bag:
            for ns in (stamp_of(k) for k in range(frames)):
                if compressed:
                    bag.write_compressed_depth(
                        'videodepth/depth/image/compressedDepth', ns, 'optical', depth_m
                    )
                else:
                    bag.write_depth('videodepth/depth/image', ns, 'optical', depth_m)
                bag.write_camera_info('videodepth/depth/camera_info', ns, 'optical', camera)
        return tmp_path / 'results'

    return make


def clouds_of(*given):
    with Playlist(PlaybackSources(*given)) as playlist:
        builder = CloudBuilder(playlist)
        return [
            np.frombuffer(bytes(builder.cloud(PARAMETERS).data), POINT).reshape(12, 16)
            for entry in playlist.entries()
            if builder.add(entry)
        ]


@pytest.mark.parametrize('compressed', [False, True])
def test_one_cloud_a_frame_with_what_is_in_range(make_results, tmp_path, compressed):
    recording = write_recording(tmp_path / 'drive', 2)
    clouds = clouds_of(make_results(compressed=compressed), recording)
    assert len(clouds) == 2
    for k, cloud in enumerate(clouds):
        assert np.isnan(cloud['z'][:2]).all()
        np.testing.assert_allclose(cloud['z'][2:], DEPTH_M, rtol=0.01)
        assert (cloud['rgb'][2:] == (k << 16 | 20 << 8 | 30)).all()


def test_without_images_points_are_white(make_results):
    clouds = clouds_of(make_results(), None)
    assert len(clouds) == 2
    assert (clouds[0]['rgb'] == 0xFFFFFF).all()
