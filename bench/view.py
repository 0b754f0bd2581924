# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the page of `videodepth view` in headless Chromium; prints JSON.

    python -m bench.view [--seconds 20] [--browsers 1] [--size 640x480]

A source in this process has a new frame 30 times a second; this process serves it. Chromium
draws in software where there is no GPU. The rate is that of frames drawn, CPU time that of this
process, heaps those of JavaScript after a collection of garbage.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from test.support.browser import Page, browser_page
from test.support.view_rig import MadeUpSource, served
from videodepth_ros.cli.options import size
from videodepth_ros.synthetic.scenes import render_scene
from videodepth_ros.view.source import ViewFrame

BARS = {'first_picture_s': 2.0, 'rate_hz': 10.0}
RATE_HZ = 30.0
SCENE, RENDERED = 'living_room', 8
SAMPLES = 10  # of the memory


class RenderedSource(MadeUpSource):
    """Some rendered frames, over and over."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self._frames = list(render_scene(SCENE, 0, RENDERED, width, height, 10.0))

    def read(self, number: int, streams: Any) -> ViewFrame:
        """Return image and depth."""
        frame = self._frames[number % RENDERED]
        depth_m = frame.depth_m.astype(np.float32)
        return ViewFrame(number, 'camera', frame.image, depth_m, None, frame.camera, None, 0.03)

    def publish_until(self, is_done: threading.Event) -> None:
        """Have a new frame at a steady rate."""
        while not is_done.wait(1 / RATE_HZ):
            self.publish()


def frames_drawn(page: Page) -> int:
    """Return the number of frames that a page has drawn."""
    return int(page.evaluate('document.body?.dataset.frames || 0'))


def first_picture_s(page: Page, address: str) -> float:
    """Open the page; return the time from the navigation to the first frame on the canvas."""
    page.open(address, 1280, 800)
    page.until('document.body.dataset.frames > 0')
    return float(page.evaluate("performance.getEntriesByName('first frame')[0].startTime")) / 1e3


def memory_mb() -> float:
    """Return the resident memory of this process."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def heap_mb(page: Page) -> float:
    """Return the heap of a page's JavaScript, without garbage."""
    page.call('HeapProfiler.collectGarbage')
    return float(page.call('Runtime.getHeapUsage')['usedSize']) / 1e6


def measure(pages: list[Page], address: str, seconds: float) -> dict[str, Any]:
    """Open the pages and let them draw for some time."""
    firsts = [first_picture_s(page, address) for page in pages]
    rates, server_mb, heaps = [], [], []
    began_cpu_s, began_s = time.process_time(), time.monotonic()
    before = first = [frames_drawn(page) for page in pages]
    for _ in range(SAMPLES):
        at_s = time.monotonic()
        time.sleep(seconds / SAMPLES)
        now = [frames_drawn(page) for page in pages]
        wall_s = time.monotonic() - at_s
        rates.append([round((b - a) / wall_s, 1) for a, b in zip(before, now, strict=True)])
        server_mb.append(round(memory_mb(), 1))
        heaps.append([round(heap_mb(page), 2) for page in pages])
        before = [frames_drawn(page) for page in pages]
    drawn = sum(before) - sum(first)
    wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
    return {
        'first_picture_s': firsts,
        'rate_hz': [round((b - a) / wall_s, 1) for a, b in zip(first, before, strict=True)],
        'rates_hz': rates,
        'server_cpu_ms_per_frame_sent': 1e3 * cpu_s / max(1, drawn),
        'server_mb': server_mb,
        'heaps_mb': heaps,
        'errors': [error for page in pages for error in page.errors],
        'bars': BARS,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--seconds', type=float, default=20.0)
    parser.add_argument('--browsers', type=int, default=1)
    parser.add_argument('--size', type=size, default=(640, 480), metavar='WxH')
    args = parser.parse_args()
    source, is_done = RenderedSource(*args.size), threading.Event()
    publisher = threading.Thread(target=source.publish_until, args=(is_done,))
    with ExitStack() as stack:
        address = stack.enter_context(served(source))
        publisher.start()
        try:
            pages = [stack.enter_context(browser_page()) for _ in range(args.browsers)]
            json.dump(measure(pages, address, args.seconds), sys.stdout, indent=1)
        finally:
            is_done.set()
            publisher.join()
    print()


if __name__ == '__main__':
    main()
