# SPDX-License-Identifier: Apache-2.0
"""Frames in Rerun: a .rrd file, or a viewer that runs.

Entities: ``world`` (z up) with ``map``, ``path`` and ``camera``; below the camera, which has a
pose and a pinhole, ``image`` and ``depth``, which the viewer unprojects; ``scalars``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import simplejpeg

from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.core.progress import Progress
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.results.map_cloud import read_map
from videodepth_ros.view.options import SERVER, ServerOptions
from videodepth_ros.view.recording import open_recording
from videodepth_ros.view.source import STREAMS, Source, ViewFrame

TIMELINE = 'stamp'
SUFFIX = '.rrd'


def is_address(target: str) -> bool:
    """Return whether a target is the address of a viewer."""
    return '://' in target


def check_target(target: str) -> None:
    """Check a target: a new file that ends in .rrd, or the address of a viewer (rerun+http://).

    Raise ConfigError if it is neither or exists, or the extra is missing.
    """
    try:
        import rerun  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f'--rerun needs the library ({error}): pip install "videodepth[rerun]"'
        ) from error
    if is_address(target):
        return
    if not target.endswith(SUFFIX):
        raise ConfigError(f'{target}: give a file that ends in {SUFFIX}, or rerun+http://...')
    if Path(target).exists():
        raise ConfigError(f'{target} exists: give another file')


class RerunLog:
    """A recording of Rerun, for a ``with`` statement."""

    def __init__(self, target: str) -> None:
        """Open a file, or connect to a viewer; see `check_target`."""
        check_target(target)
        import rerun

        self._rerun = rerun
        self._stream = rerun.RecordingStream('videodepth')
        if is_address(target):
            self._stream.connect_grpc(target)
        else:
            self._stream.save(target)
        self._stream.log('world', rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def __enter__(self) -> RerunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.flush()
        self._stream.disconnect()

    def add_source(self, source: Source) -> None:
        """Log what does not change: map and path."""
        path = np.asarray(source.facts()['path'], np.float32).reshape(-1, 3)
        if len(path):
            self._stream.log('world/path', self._rerun.LineStrips3D([path]), static=True)
        found = source.map()
        if found is not None:
            positions_m, colours = read_map(*found)
            radius_m = found[0]['voxel'] / 2
            points = self._rerun.Points3D(positions_m, colors=colours, radii=radius_m)
            self._stream.log('world/map', points, static=True)

    def add(self, frame: ViewFrame) -> None:
        """Log a frame."""
        rerun, log = self._rerun, self._stream.log
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(frame.stamp_ns, 'ns'))
        T = level_camera() if frame.T_map_cam is None else frame.T_map_cam
        log('world/camera', rerun.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))
        shape = None if frame.depth_m is None else frame.depth_m.shape
        if frame.camera is not None:
            log('world/camera', self._pinhole(frame.camera))
        if frame.image is not None:
            image = frame.image if shape is None else cv2.resize(frame.image, shape[::-1])
            jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=SERVER.jpeg_quality)
            log('world/camera/image', rerun.EncodedImage(contents=jpeg, media_type='image/jpeg'))
        if frame.depth_m is not None:
            known = np.isfinite(frame.depth_m)
            depth_m = np.where(known, frame.depth_m, 0).astype(np.float32)
            log('world/camera/depth', rerun.DepthImage(depth_m, meter=1.0))
            self._log_scalars(frame, depth_m[known], float(known.mean()))

    def _pinhole(self, camera: Intrinsics) -> object:
        return self._rerun.Pinhole(
            focal_length=[camera.fx, camera.fy],
            principal_point=[camera.cx, camera.cy],
            resolution=[camera.width, camera.height],
            camera_xyz=self._rerun.ViewCoordinates.RDF,
        )

    def _log_scalars(self, frame: ViewFrame, known_m: np.ndarray, share: float) -> None:
        values = {'share_with_depth': share, 'age_s': frame.age_s}
        values['median_depth_m'] = float(np.median(known_m)) if known_m.size else None
        if frame.confidence is not None:
            values['mean_confidence'] = float(np.nanmean(frame.confidence))
        for name, value in values.items():
            if value is not None:
                self._stream.log(f'scalars/{name}', self._rerun.Scalars(value))


def level_camera() -> np.ndarray:
    """Return T_map_cam (4, 4) of a level camera at the origin, which looks along x."""
    return np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def log_frames(source: Source, target: str, numbers: Iterable[int]) -> int:
    """Log frames of a source; return their number. Those that are damaged are left out."""
    count = 0
    with RerunLog(target) as log:
        log.add_source(source)
        for number in numbers:
            try:
                log.add(source.read(number, STREAMS))
                count += 1
            except InputError:
                continue
    return count


def new_frames(
    source: Source, is_done: Callable[[], bool], options: ServerOptions = SERVER
) -> Iterator[int]:
    """Yield the numbers of the frames of a live node as they come; some are left out."""
    is_new = threading.Event()
    source.open(is_new.set)
    source.show(STREAMS)
    last = source.newest()
    while not is_done():
        is_new.wait(options.poll_period_s)
        is_new.clear()
        if source.newest() > last:
            yield (last := source.newest())


def log_recording(
    path: Path, images: Path | None, target: str, show: Callable[[Progress], None]
) -> int:
    """Log all frames of a recording; return their number.

    images  see `open_recording`
    show    receives the progress

    Raise ConfigError as `RerunLog`, BagError as `open_recording`.
    """
    with open_recording(path, images, show) as source:
        of = source.newest() + 1

        def numbers() -> Iterable[int]:
            for number in range(of):
                yield number
                show(Progress('rerun', (number + 1) / of, None, None, number + 1, of))

        return log_frames(source, target, numbers())
