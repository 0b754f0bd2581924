# SPDX-License-Identifier: Apache-2.0
"""Depth of one camera in Python: images in, depth maps out, state inside."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType

from videodepth_ros.core.arrays import UInt8Array
from videodepth_ros.engines.open import open_engine
from videodepth_ros.frames import DepthMap, Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.catalogue import card
from videodepth_ros.stream.session import DepthSession, SessionSettings, StepResult


class DepthStream:
    """Depth stream of one camera; not thread-safe.

    last  result of the newest frame: depth, reset reason, time of the network; None before it
    """

    def __init__(
        self,
        model: str = 'nano',
        *,
        engine: str = 'auto',
        precision: str = 'fp16',
        threads: int = 0,
        max_pixels: int = 0,
        settings: SessionSettings | None = None,
    ) -> None:
        """Prepare a stream; the first image opens the engine, which may build it.

        model       name in the catalogue, see `videodepth weights`, or the path of a card
        engine      one of ``engines.open.ENGINES``
        precision   ``fp16`` or ``fp32`` on a GPU
        threads     per frame on the CPU; 0: the engine's default
        max_pixels  limit of the network's input [px]; 0: the model's default
        settings    of the stream; None: edges and scale as the live node has them for the model
        raises      ConfigError for an unknown model
        """
        known = card(model)
        settings = settings or SessionSettings(
            guided=known.soft, steady=known.drifts, motion_stereo=known.drifts
        )
        if max_pixels:
            settings = replace(settings, max_pixels=max_pixels)
        self.last: StepResult | None = None
        self._session = DepthSession(
            known,
            lambda width, height: open_engine(
                model, engine, width, height, threads=threads, precision=precision
            ),
            settings,
        )

    def __call__(
        self,
        image: UInt8Array,
        stamp_ns: int | None = None,
        camera: Intrinsics | None = None,
        frame_id: str = 'camera',
    ) -> DepthMap:
        """Return the depth of the next image.

        image     (H, W, 3) uint8, red green blue, rectified
        stamp_ns  acquisition time [ns]; None: now. A step backwards or over ``max_gap_s`` resets
                  the state
        camera    intrinsics at the size of ``image``; None: uncalibrated
        frame_id  optical frame of the camera
        raises    InputError if the image is unusable; DeviceError, ModelError if the engine fails
        """
        stamp_ns = time.time_ns() if stamp_ns is None else stamp_ns
        self.last = self._session.step(Frame(stamp_ns, frame_id, image, camera))
        return self.last.depth

    def reset(self) -> None:
        """Reset the recurrent state before the next image."""
        self._session.request_reset()

    def close(self) -> None:
        """Free the engine; the next image opens it again."""
        self._session.close()

    def __enter__(self) -> DepthStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
