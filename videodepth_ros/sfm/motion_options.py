# SPDX-License-Identifier: Apache-2.0
"""Options of the camera's motion: standing, turning, by odometry, hardly determined."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StationaryOptions:
    """Detection of a stationary camera, and the zero-velocity update of bundle adjustment."""

    # Largest median displacement of tracks since the interval began [image widths]: .4 px of 640,
    # four times the noise of the tracker in a dim room.
    max_displacement_widths: float = 1 / 1600
    # Least steps of an interval: shorter ones may be a turning point of the motion.
    min_steps: int = 5
    # Least tracks that two compared frames share.
    min_shared_tracks: int = 30
    # Sigmas of the motion there, relative to those of any step: 1e-5 depths, 1e-5 rad.
    sigma_ratio: float = 2e-5


@dataclass(frozen=True)
class TurningOptions:
    """Selection of the model of a camera that only turns."""

    # Largest error of that model relative to the noise of the tracks, in the closest pairs: 1.0 in
    # a pan from a tripod, 5 to 18 in hand-held recordings. It grows with the root of the frames
    # between, for tracks drift; parallax grows with their number.
    max_error_ratio: float = 1.5
    # Frames between two views of a pair: tracks of near points are short, and parallax shows in
    # long ones; most pairs that are judged, least pairs for a gap to count, least gaps, least
    # tracks that a pair shares.
    pair_frames: tuple[int, ...] = (2, 8, 32)
    max_pairs: int = 24
    min_pairs: int = 4
    min_gaps: int = 2
    min_common_tracks: int = 20
    # Quantile of the pairs' errors: a camera that only turns does so in nearly all.
    pair_quantile: float = 0.9
    # Focal lengths that are tried in this order where none is known [multiples of the assumed].
    focal_ratios: tuple[float, ...] = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 0.8, 0.64)
    # Largest ratio of the error of a focal length to the least one of all that fits as well.
    equal_error_ratio: float = 1.1
    # Least sigma of the log of the prior's depth about that of a moving camera, where the focal
    # length is not known.
    min_prior_log_sigma: float = 0.25
    # Rounds of robust fits.
    reweightings: int = 5


@dataclass(frozen=True)
class OdometryOptions:
    """Comparison of odometry with the motion of the cameras, step by step."""

    # Least smoothness of the motion with which the scale is regressed on the steps around each:
    # mean product of a step with the sum of those two before and after [mean squared step].
    min_smoothness: float = 1.0
    # Least length of the odometry's path that gives a scale [m].
    min_path_m: float = 1e-3
    # Rounds of outlier removal and regression.
    iterations: int = 4
    # Added to the length of a step before its error is divided by it [length of the median step]:
    # the error of short steps is noise.
    length_floor: float = 0.3
    # A step is an outlier if its error, relative to its length, is beyond this many sigmas ...
    outlier_sigmas: float = 4.0
    # ... and beyond this share.
    min_outlier: float = 0.08
    # The same for the mean error of a run of steps, whose noise is less: slip of a tenth is found
    # where single steps are good to 2 %.
    run_length: int = 3
    min_run_outlier: float = 0.05
    # Least sigmas: of a step relative to its length, and of its rotation.
    min_sigma: float = 0.01
    min_rotation_sigma_rad: float = 0.002
    # Largest relative sigma of odometry that shows the same motion as the images.
    max_sigma: float = 0.3
    # Factor of the sigmas in bundle adjustment: errors of wheels are correlated over time.
    correlation: float = 3.0
    # Where the images show nothing, a longer step than this is an outlier [longest good step].
    max_blind_ratio: float = 2.0


@dataclass(frozen=True)
class WeakStepOptions:
    """Steps whose translation the images hardly determine."""

    # Sigma of the position above which a step is weak [length of the median step].
    # On the reference sequences it is up to 0.07; beside a near wall without texture 0.1 to 0.9.
    max_sigma: float = 0.1
    # Rounds: a leap beside a weak step is found when that is steady.
    rounds: int = 2
    # Largest share of weak steps: with more, the camera hardly moves, or all is far.
    max_share: float = 0.4
    # Sigma of steady motion [speed].
    speed_sigma: float = 0.1
