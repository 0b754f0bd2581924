# SPDX-License-Identifier: Apache-2.0
"""The whole demo, with a live node whose engine returns at once."""

import json
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip('rclpy', reason='the demo needs ROS 2')

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.cli import main
from videodepth_ros.core.errors import VideoDepthError
from videodepth_ros.demo import graph

INSTANT_NODE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from test.support.instant_engine import InstantEngine
from videodepth_ros.models.catalogue import card
from videodepth_ros.nodes.live_node import LiveNode, run

class InstantNode(LiveNode):
    def model_card(self):
        return card('nano')

    def open_engine(self, width, height):
        return InstantEngine(width, height)

sys.exit(run(InstantNode, sys.argv))
"""


@pytest.fixture
def instant(monkeypatch, tmp_path):
    monkeypatch.setattr(graph, 'LIVE_NODE', INSTANT_NODE)
    monkeypatch.setattr('videodepth_ros.models.catalogue.weights_path', lambda card: tmp_path)


def demo(folder: Path, *options: str) -> int:
    return main(
        ['demo', str(folder), '--scene', 'corridor', '--seconds', '1', '--rate-hz', '10', *options]
    )


@pytest.mark.timeout(1200)  # two demos, of four processes each
def test_the_demo_leaves_video_picture_bag_and_page(instant, tmp_path, capsys):
    folder = tmp_path / 'demo'
    assert demo(folder, '--json', str(tmp_path / 'facts.json')) == 0
    facts = json.loads((folder / 'summary.json').read_text())
    assert facts == json.loads((tmp_path / 'facts.json').read_text())
    assert facts['frames_played'] == 10
    assert 0 < facts['frames'] <= 10
    assert facts['counters_add_up']
    assert facts['counters']['published'] >= facts['frames']
    assert 0 < facts['age_p50_ms'] <= facts['age_p99_ms'] <= facts['age_max_ms']
    assert [row['alignment'] for row in facts['errors']] == ['none', 'scale', 'scale_shift']
    for name in facts['files']:
        assert (folder / name).exists()
    assert 'best vertical gradient' in (folder / 'summary.md').read_text()
    assert 'best vertical gradient' in capsys.readouterr().out

    video = cv2.VideoCapture(str(folder / 'depth.webm'))
    assert sum(1 for _ in iter(lambda: video.read()[0], False)) == facts['frames']
    video.release()
    assert cv2.imread(str(folder / 'depth_and_cloud.png')) is not None
    with open_bag(folder / 'bag') as bag:
        assert bag.lost is None
        counts = {topic.name: topic.count for topic in bag.topics}
    assert counts['/videodepth/depth/image'] == facts['frames']
    assert counts['/camera/image_raw/compressed'] == 10
    # The bag holds depth and truth under the same stamps, so it can be judged by itself.
    assert main(['eval', str(folder / 'bag'), '--json', str(tmp_path / 'eval.json')]) == 0
    evaluated = json.loads((tmp_path / 'eval.json').read_text())
    assert evaluated['depth']['abs_rel'] == pytest.approx(facts['errors'][0]['errors']['abs_rel'])
    made_ns = (folder / 'sample').stat().st_mtime_ns
    assert demo(folder) == 0
    assert (folder / 'sample').stat().st_mtime_ns == made_ns, 'the sample was rendered again'


def test_a_node_that_ends_is_reported_with_the_last_line_of_its_log(monkeypatch, tmp_path):
    monkeypatch.setattr(graph, 'LIVE_NODE', 'print("no such device"); raise SystemExit(3)')
    with pytest.raises(VideoDepthError, match='live_node ended with 3: no such device'):
        graph.play_live(tmp_path / 'sample', tmp_path / 'recording', tmp_path, 1.0, 'nano', 'auto')


def test_a_program_that_does_not_end_is_ended(tmp_path):
    sleep = [sys.executable, '-c', 'import time; print("working", flush=True); time.sleep(60)']
    with graph.Process(sleep, tmp_path / 'sleeper.log', {}) as process:
        with pytest.raises(VideoDepthError, match='sleeper did not end within'):
            process.wait(0.5)
    with pytest.raises(VideoDepthError, match='sleeper ended'):
        process.check_alive()
