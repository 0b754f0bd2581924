# SPDX-License-Identifier: Apache-2.0
"""Options of multi-view stereo."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StereoOptions:
    """Options of multi-view stereo; lengths in pixels are those of the working size."""

    # --- working size
    working_pixels: int = 76_800
    """Pixels of the images that are matched, 320x240: twice the side costs five times the time."""

    # --- choice of neighbours
    neighbours: int = 5
    """Views that each view is matched with. A sixth gained nothing on the test sequences."""
    parallax_px: float = 16.0
    """Preferred median parallax: 1/2 px of noise is 3 % of depth. 24 is more precise indoors, but
    on a road the nearest surfaces leave the search range."""
    least_parallax_px: float = 2.4
    """Views with less are not matched: half a pixel of noise would be 20 % of depth."""
    most_turn_deg: float = 30.0
    """Angle between the optical axes beyond which windows no longer look alike."""
    least_overlap: float = 0.5
    """Share of the view that a neighbour must see."""

    most_skipped: int = 1
    """Views in a row that are not matched, but have their depth from the views around them."""
    same_view_px: float = 5.0
    same_view_overlap: float = 0.85
    """Median parallax and overlap with the last matched view up to which a view is skipped."""

    # --- search range, in log depth about the prior
    coarse_labels: int = 48
    coarse_range: float = 1.65
    """At half the working size, the prior's depth times exp(-1.65) to exp(1.65): .19 to 5.2."""
    fine_labels: int = 14
    fine_range: float = 0.28
    """At the working size, about the coarse result: .76 to 1.32."""

    # --- matching cost
    noise_variance: float = 2.0
    """Variance of image noise in grey levels squared, added to both variances in the ZNCC."""
    small_window_variance: float = 60.0
    """Variance of grey in 3x3 pixels at which that window counts as much as that of 7x7."""
    best_views: int = 3
    """The cost is the mean over so many of the best neighbours: the others may be occluded."""
    prior_cost: float = 0.2
    prior_range: float = 0.5
    """Cost of a label that is at least `prior_range` away from the prior in log depth."""

    # --- semi-global matching (Hirschmueller 2008); costs are in units of 1 - ZNCC
    p1: float = 0.1
    p2: float = 1.5
    p2_grey_scale: float = 3.0
    """Difference of grey levels at which p2, the cost of a jump, is halved."""

    # --- fusion of neighbouring depth maps
    fused_views: int = 8
    tolerance: float = 0.06
    """Half width, in log depth, of the kernel in which depths of several views agree."""

    # --- bending of the prior
    smoothness: float = 30.0
    """Lambda of the fast global smoother (Min et al. 2014): its reach is about sqrt(lambda) px."""
    coarse_smoothness: float = 3000.0
    """The same where no stereo is near by."""
    smoothness_grey_scale: float = 8.0
    """Difference of grey levels at which the smoother's weight falls to 1/e."""

    prior_weight: float = 0.0
    """Weight of the prior's own depths in the fusion, where a match weighs up to 1: 0 for a
    network, whose errors are alike in all frames, 2 for a depth camera, whose noise is not."""

    # --- trust in a view's stereo
    least_met: float = 0.01
    """Share of the pixels outside the sky in which views must meet for agreement to count."""
    trusted_agreement: tuple[float, float] = (0.6, 0.7)
    """Agreement up to which stereo counts for nothing, and from which on in full: where poses are
    wrong chance gives .4 to .65, and stereo errs twice as much as the prior; where they are right
    it is .65 to .97. Chosen on the clips 1 to 4 of `training.measure`."""
    filled_agreement: tuple[float, float] = (0.65, 0.8)
    prior_pull: float = 0.3
    """Between these agreements the prior holds out, with a weight from `prior_pull` to 0, against
    what is extrapolated from uncertain stereo: in fast motion only what is certain is right."""
    trusted_certainty: tuple[float, float] = (0.22, 0.4)
    """The same for the mean certainty, where too few views meet."""

    # --- things that move
    moment_s: float = 0.1
    """Motion is looked for between frames so far, and twice so far, apart."""
    moving_px: float = 1.0
    """Optical flow in that time, at the working size, that clearly shows motion if it makes the
    frames more alike by `moving_gain` grey levels."""
    moving_gain: float = 2.0
    moving_low: float = 0.8
    """Share of `moving_px` that shows motion beside pixels that clearly move."""
    least_moving_area_px: int = 25
    least_proven: float = 0.3
    """Pixels of the working size, and share of what is connected, that must clearly move."""

    # --- upsampling
    edge_radius: int = 9
    """Radius of the weighted median that moves depth edges onto image edges."""
    edge_colour_scale: float = 45.0
    """Sum of absolute differences of R, G and B at which a pixel's weight falls to 1/e."""


MEASURED_PRIOR = StereoOptions(prior_weight=2.0)
"""For a prior that a depth camera measured."""
