# SPDX-License-Identifier: Apache-2.0
"""How long it takes from an image message to the network's input; prints JSON.

    python bench/preprocess.py --size 1920x1080 --model nano --encoding rgb8

``official_ms`` is what FlashDepth's own way of resizing takes, in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.messages.image import decode_image
from videodepth_ros.models.catalogue import card, cards
from videodepth_ros.models.preprocess import budget_size, network_input, official_input


@dataclass(frozen=True)
class ImageMessage:
    """The fields of a sensor_msgs/Image that hold its pixels; rclpy has ``data`` as an array."""

    width: int
    height: int
    step: int
    encoding: str
    data: array[int]
    is_bigendian: int = 0


def message(width: int, height: int, encoding: str) -> ImageMessage:
    channels = 1 if encoding.startswith(('mono', 'bayer')) else 3
    pixels = np.random.default_rng(0).integers(0, 256, width * height * channels, dtype=np.uint8)
    return ImageMessage(width, height, width * channels, encoding, array('B', pixels.tobytes()))


def p50_ms(work: Callable[[], object], rounds: int) -> float:
    times_s = []
    for _ in range(rounds + 3):
        start_s = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - start_s)
    return round(1e3 * float(np.median(times_s[3:])), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', default='1920x1080', help='of the camera image')
    parser.add_argument('--encoding', default='rgb8', choices=('rgb8', 'bgr8', 'mono8'))
    parser.add_argument('--model', default='nano', choices=[model.name for model in cards()])
    parser.add_argument('--rounds', type=int, default=50)
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    width, height = map(int, options.size.split('x'))
    model = card(options.model)
    size = budget_size(width, height, model.max_pixels, model.patch)
    msg = message(width, height, options.encoding)
    image = decode_image(msg)
    print(
        json.dumps(
            {
                'camera': options.size,
                'encoding': options.encoding,
                'network': f'{size[0]}x{size[1]}',
                'threads': options.threads,
                'bar_ms': 5.0,
                'p50_ms': p50_ms(lambda: network_input(decode_image(msg), *size), options.rounds),
                'decode_ms': p50_ms(lambda: decode_image(msg), options.rounds),
                'resize_ms': p50_ms(lambda: network_input(image, *size), options.rounds),
                'official_ms': p50_ms(lambda: official_input(image), max(1, options.rounds // 10)),
            },
            indent=1,
        )
    )


if __name__ == '__main__':
    main()
