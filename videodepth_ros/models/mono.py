# SPDX-License-Identifier: Apache-2.0
"""Monocular priors: what a network says of the depth of a frame on its own.

The door to those that live in `transformers`: Depth Pro and Depth Anything V2. Free of torch until
one is opened.
"""

from __future__ import annotations

from videodepth_ros.core.errors import ConfigError, DeviceError
from videodepth_ros.models.catalogue import INSTALL_PRIORS, PRIOR_CARDS, find_card, weights_path
from videodepth_ros.models.prior import MonoEstimate, MonoPrior, PriorKind

__all__ = ['MonoEstimate', 'MonoPrior', 'PriorKind', 'open_mono_prior']


def open_mono_prior(
    name: str,
    *,
    device: str = 'auto',
    precision: str = 'auto',
    batch: int = 0,
    camera_focal: bool = True,
) -> MonoPrior:
    """Open Depth Pro or a Depth Anything V2; nothing is downloaded.

    name          ``depth-pro`` or one of ``depth-anything-v2-*`` in the catalogue
    device, precision   see ``place.select_device``
    batch         frames computed at once; 0 leaves the choice to the prior
    camera_focal  Depth Pro takes fx of a frame's camera, where it has one, for its own estimate
    raises        ConfigError for a name or an option that cannot be, ModelError where the weights
                  are not here or not whole, DeviceError where torch, transformers or the GPU is
                  missing
    """
    card = find_card(name, PRIOR_CARDS)
    folder = weights_path(card)
    if batch < 0:
        raise ConfigError(f'a batch of {batch} frames cannot be; give 1 or more, or 0 for auto')
    try:
        from videodepth_ros.models.depth_anything import DepthAnything
        from videodepth_ros.models.depth_pro import DepthPro
        from videodepth_ros.models.device_precision import select_device
    except ImportError as error:
        raise DeviceError(f'{name} cannot run here: {error}; {INSTALL_PRIORS}') from error
    placement = select_device(device, precision)
    if name == 'depth-pro':
        return DepthPro(card, folder, placement, batch, camera_focal=camera_focal)
    return DepthAnything(card, folder, placement, batch)
