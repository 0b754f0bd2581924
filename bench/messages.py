# SPDX-License-Identifier: Apache-2.0
"""How long it takes to write the live node's messages and to read its input; prints JSON.

    python bench/messages.py --rounds 30

One thread. ``create_cloud_ms`` is the usual way of publishing a cloud, in the same run: points
that lie ready in a structured array go through create_cloud of sensor_msgs_py (its steps written
out here where that is not installed) and the depth through tobytes. ``usual_way_ms`` is that with
the time that numpy takes to compute the points. Exits with 1 where a bar is not met.
"""

from __future__ import annotations

import argparse
import array
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.messages.camera_info import fill_camera_info
from videodepth_ros.messages.cloud import write_cloud
from videodepth_ros.messages.image import decode_image, write_depth, write_image
from videodepth_ros.models.catalogue import card
from videodepth_ros.models.preprocess import budget_size, network_input

WIDTH, HEIGHT = 2044, 1148
CAMERA = Intrinsics(WIDTH, HEIGHT, 1500.0, 1500.0, 1021.5, 573.5)
MAX_RANGE_M = 30.0
POINT = [(name, np.float32) for name in ('x', 'y', 'z', 'rgb')]
FIELDS = [
    PointField(name=name, offset=4 * k, datatype=PointField.FLOAT32, count=1)
    for k, (name, _) in enumerate(POINT)
]
FULL_BAR, STRIDED_BAR, INPUT_BAR_MS = 3.5, 12.0, 5.0


def create_cloud(header: Header, fields: list[PointField], points: np.ndarray) -> PointCloud2:
    data = array.array('B')
    data.frombytes(memoryview(points).cast('B'))
    cloud = PointCloud2(
        header=header,
        height=points.shape[0],
        width=points.shape[1],
        is_dense=False,
        fields=fields,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * points.shape[1],
    )
    cloud.data = data
    return cloud


baseline = 'the steps of create_cloud; sensor_msgs_py is not installed'
try:
    from sensor_msgs_py import point_cloud2

    create_cloud = point_cloud2.create_cloud
    baseline = 'sensor_msgs_py create_cloud'
except ImportError:
    pass


def points_of(depth_m: np.ndarray, image: np.ndarray) -> np.ndarray:
    xyz = backproject(depth_m, CAMERA)
    red, green, blue = np.moveaxis(image.astype(np.uint32), -1, 0)
    points = np.empty(depth_m.shape, POINT)
    points['x'], points['y'], points['z'] = np.moveaxis(xyz, -1, 0)
    points['rgb'] = (red << 16 | green << 8 | blue).view(np.float32)
    return points


def medians_ms(actions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Time the actions in turns, so that other load on the machine falls on all of them."""
    taken_ms: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds + 2):
        for name, action in actions.items():
            start_s = time.perf_counter()
            action()
            taken_ms[name].append(1e3 * (time.perf_counter() - start_s))
    return {name: round(float(np.median(ms[2:])), 3) for name, ms in taken_ms.items()}


def writers() -> dict[str, Callable[[], Any]]:
    random = np.random.default_rng(0)
    depth_m = random.uniform(0.5, 40.0, (HEIGHT, WIDTH)).astype(np.float32)
    depth_m[:100], depth_m[100:150] = np.inf, np.nan
    image = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    ready = points_of(np.nan_to_num(depth_m, posinf=0.0), image)
    outputs = Image(), CameraInfo(), PointCloud2()
    strided_outputs = Image(), CameraInfo(), PointCloud2()

    def usual(points: np.ndarray) -> None:
        create_cloud(Header(), FIELDS, points)
        Image(height=HEIGHT, width=WIDTH, encoding='32FC1', step=4 * WIDTH).data = array.array(
            'B', depth_m.tobytes()
        )
        fill_camera_info(CameraInfo(), CAMERA)

    def ours(stride: int, depth_msg: Image, info: CameraInfo, cloud: PointCloud2) -> None:
        write_depth(depth_m, depth_msg)
        fill_camera_info(info, CAMERA)
        write_cloud(depth_m, image, CAMERA, stride, MAX_RANGE_M, cloud)

    return {
        'create_cloud_ms': lambda: usual(ready),
        'usual_way_ms': lambda: usual(points_of(np.nan_to_num(depth_m, posinf=0.0), image)),
        'full_ms': lambda: ours(1, *outputs),
        'stride_4_ms': lambda: ours(4, *strided_outputs),
    }


def reader() -> Callable[[], Any]:
    message = Image()
    image = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    write_image(image, message, 'rgb8')
    nano = card('nano')
    size = budget_size(1920, 1080, nano.max_pixels, nano.patch)
    return lambda: network_input(decode_image(message), *size)


def main() -> int:
    parser = argparse.ArgumentParser(description='Time the writing and reading of messages.')
    parser.add_argument('--rounds', type=int, default=30, help='turns that are measured')
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    ms = medians_ms({**writers(), 'network_input_ms': reader()}, rounds)
    full, strided = (
        round(ms['create_cloud_ms'] / ms[name], 1) for name in ('full_ms', 'stride_4_ms')
    )
    bars = {
        f'Image + CameraInfo + PointCloud2 of {WIDTH}x{HEIGHT}, times faster': {
            'value': full,
            'bar': f'>= {FULL_BAR}',
            'passed': full >= FULL_BAR,
        },
        'the same with a cloud of stride 4, times faster': {
            'value': strided,
            'bar': f'>= {STRIDED_BAR}',
            'passed': strided >= STRIDED_BAR,
        },
        '1920x1080 rgb8 message to the input of nano, p50 ms': {
            'value': ms['network_input_ms'],
            'bar': f'<= {INPUT_BAR_MS}',
            'passed': ms['network_input_ms'] <= INPUT_BAR_MS,
        },
    }
    passed = all(row['passed'] for row in bars.values())
    report = {'baseline': baseline, 'p50_ms': ms, 'bars': bars, 'passed': passed}
    print(json.dumps(report, indent=2))
    return 0 if passed else 1


if __name__ == '__main__':
    sys.exit(main())
