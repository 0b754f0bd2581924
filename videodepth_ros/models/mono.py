# SPDX-License-Identifier: Apache-2.0
"""Open monocular depth priors of `transformers`: Depth Pro and Depth Anything V2.

Free of torch until one is opened.
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
    device, precision   see ``device_precision.select_device``
    batch         frames computed at once; 0: the prior's default
    camera_focal  Depth Pro uses fx of a frame's camera, where known, instead of its own estimate
    raises        ConfigError for an unknown name or option, ModelError where the weights are
                  missing or incomplete, DeviceError where torch, transformers or the GPU is
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
