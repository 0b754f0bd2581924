# SPDX-License-Identifier: Apache-2.0
"""Draw docs/demo.jpg: a frame of a recording, its live depth and cloud, and the refined map.

    python -m tools.draw_demo RECORDING LIVE REFINED NUMBER docs/demo.jpg

LIVE is what `videodepth run-bag` made of the recording, REFINED what `videodepth refine` made.
Clouds are those of the page of `videodepth view`, in headless Chromium.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np

from test.support.browser import Page, browser_page
from test.support.view_rig import served
from videodepth_ros.pictures import Image, colour_range, colourise, resized, side_by_side
from videodepth_ros.view.recording import RecordingSource, open_recording
from videodepth_ros.view.source import STREAMS

PANEL_PX, MAP_PX = (426, 320), (1278, 640)
JPEG_QUALITY = 88
SETTLED_S = 5.0  # the cloud gets finer until then
CLOUD_ALONE = """{
  Object.assign(document.querySelector('#cloud').style,
    {position: 'fixed', inset: 0, zIndex: 9, height: '100vh', minHeight: 0, border: 0});
  for (const one of document.querySelectorAll('.tools, .note')) one.style.display = 'none';
}"""


def cloud(page: Page, source: RecordingSource, number: int, size: tuple[int, int]) -> Image:
    """Return the cloud of a frame, and the map where there is one, as the page draws them."""
    with served(source) as address:
        page.open(address, *size)
        page.until('document.body.dataset.frames > 0')
        page.evaluate(CLOUD_ALONE)
        page.evaluate(
            "{const line = document.querySelector('#timeline input');"
            f'line.value = {number}; line.oninput()}}'
        )
        page.until(
            f"document.querySelector('#timeline output').value.includes('frame {number + 1} ')"
        )
        zoom(page)
        time.sleep(SETTLED_S)
        return page.picture()


def ignore(progress: object) -> None:
    """Show no progress."""


def zoom(page: Page, steps: int = 4) -> None:
    """Turn the wheel over the cloud."""
    for _ in range(steps):
        page.evaluate(
            "document.querySelector('#cloud canvas').dispatchEvent("
            "new WheelEvent('wheel', {deltaY: -100, clientX: 9, clientY: 9, cancelable: true}))"
        )
        time.sleep(0.1)


def draw(recording: Path, live: Path, refined: Path, number: int) -> Image:
    """Return the picture, (H, W, 3) uint8 RGB."""
    with (
        open_recording(live, recording, ignore) as streamed,
        open_recording(refined, recording, ignore) as mapped,
        browser_page() as page,
    ):
        frame = streamed.read(number, STREAMS)
        assert frame.image is not None
        assert frame.depth_m is not None
        colours = colour_range([frame.depth_m])
        scale = f'live depth: {colours.near_m:.1f} m red to {colours.far_m:.1f} m blue'
        top = side_by_side(
            [
                ('camera', resized(frame.image, *PANEL_PX)),
                (scale, resized(colourise(frame.depth_m, colours), *PANEL_PX)),
                ('live cloud', cloud(page, streamed, number, PANEL_PX)),
            ]
        )
        bottom = side_by_side(
            [('refined: the map and the path of the camera', cloud(page, mapped, number, MAP_PX))]
        )
    return np.vstack([top, bottom])


if __name__ == '__main__':
    picture = draw(*(Path(name) for name in sys.argv[1:4]), int(sys.argv[4]))
    pixels = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    cv2.imwrite(sys.argv[5], pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
