# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
import time

from sensor_msgs.msg import CameraInfo, Image

from test.support.rig import START_NS, image_message

QUIET_S = 1.0


def test_it_records_until_the_camera_is_gone_whatever_pauses_there_are(make_rig, tmp_path):
    rig = make_rig()  # its peer is the camera, and in the node's place; the node stays idle
    facts = tmp_path / 'facts.json'
    infos = rig.camera('/camera/camera_info', CameraInfo)
    depths = rig.camera('/videodepth/depth/image', Image, reliable=True)
    recorder = subprocess.Popen(
        [
            sys.executable,
            '-m',
            'videodepth_ros.demo.recorder',
            str(tmp_path / 'bag'),
            str(facts),
            '--quiet-s',
            str(QUIET_S),
        ]
    )
    try:
        rig.until(depths.get_subscription_count)
        for k in range(2):
            depths.publish(image_message(k))
            paused_s = time.monotonic()
            rig.until(lambda since_s=paused_s: time.monotonic() - since_s > 2 * QUIET_S)
        rig.peer.destroy_publisher(infos)
        rig.until(lambda: recorder.poll() is not None)
    finally:
        recorder.kill()
        recorder.wait()
    heard = json.loads(facts.read_text())['topics']['/videodepth/depth/image']['stamp_ns']
    assert (heard[0], len(heard)) == (START_NS, 2)
