# SPDX-License-Identifier: Apache-2.0
"""Options of engines, their self-checks and their store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SelfCheckOptions:
    """Comparison of a float32 engine with the network in torch, see check.py."""

    frames: int = 3  # length of the rollout
    # Largest max|a - b| / max|b|. Another order of summation gives about 1e-5; a wrong resize or a
    # dropped state gives above 5e-2.
    max_relative_error: float = 2e-4


@dataclass(frozen=True)
class PlanTolerances:
    """Largest relative errors of a half-precision plan against float32, see compile.py.

    Sound plans have a median of 0.002 and a state error of 0.003; plans that are silently wrong
    scale frames at random or mix up tokens, and are off by 0.1 and more.
    """

    median: float = 0.01  # of the inverse depth, over pixels that are not far
    p99: float = 0.1  # the same, 99th percentile
    state: float = 0.05  # of the last state, over its largest value
    depth: float = 1e-3  # of the depth in metres, against the plan's own inverse depth
    near_share: float = 0.05  # of the largest inverse depth; smaller values count as far


@dataclass(frozen=True)
class ReducedPrecisionOptions:
    """Check of a reduced precision in OpenVINO against float32, beside ``PlanTolerances``.

    `nano` in bf16 has another scale by 0.6 % in the first frame and by up to 3.6 % in 60 frames.
    """

    frames: int = 32  # length of the rollout, for drift of the state
    scale: float = 0.005  # largest error of the median of the inverse depth in any frame


@dataclass(frozen=True)
class StoreOptions:
    """Retention of built artefacts, see store.py."""

    max_idle_s: float = 90 * 86400.0  # [s] an artefact unused for longer is removed
    max_bytes: int = 16 << 30  # [B] of all artefacts; the largest fp32 plan takes 1.4 GB
    min_idle_s: float = 3600.0  # [s] an artefact used more recently is kept: it may be loading
    poll_period_s: float = 0.2  # [s] between attempts to take the lock of an artefact


@dataclass(frozen=True)
class PriorExportOptions:
    """Export of a monocular prior as a graph, see export_prior.py."""

    max_relative_error: float = 1e-4  # ONNX Runtime against torch, over the largest value
    max_inline_bytes: int = (
        1_500_000_000  # [B] larger weights lie beside the graph: protobuf's 2 GB
    )


@dataclass(frozen=True)
class PointMapOptions:
    """Search for the shift of an affine point map, see point_map.py."""

    samples_per_side: int = 64  # pixels of the image that are used, as in the release of MoGe
    candidates: int = 24  # shifts of a grid
    grids: int = 4  # each spans two steps of the one before: 0.04 % of the nearest depth
    least_offset: float = 1e-3  # depth of the nearest point, in spans from it to the median
    most_offset: float = 1e3
    least_span: float = 1e-3  # of the nearest value, where all depths are alike


@dataclass(frozen=True)
class SingleImageOptions:
    """Single-image networks of the user, see single_image.py."""

    nominal_depth_m: float = 4.0  # [m] median depth of a stream's first frame without metres
    max_aspect_change: float = 1.15  # of a network's output against its input; above: not a map
