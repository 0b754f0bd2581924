# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from training.network import PreciseDepthwise, new_network, predict
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.nano import NANO

SEEDED = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (1, 2, 64, 80, 3), generator=SEEDED).byte()


def test_what_is_trained_computes_what_is_shipped() -> None:
    """Layers that are written for speed or kept in single precision are those of the network."""
    trained = new_network(NANO, 0, imagenet=False).eval()
    shipped = FlashDepth(NANO).eval()
    shipped.load_state_dict(trained.state_dict())
    images = (IMAGES.float() / 255).movedim(-1, 2)
    with torch.no_grad():
        u, _ = trained.sequence(images)
        inverse_depth, _ = shipped.sequence(images)
    assert u.std() > 1e-3
    torch.testing.assert_close(u, inverse_depth.log1p(), atol=1e-4, rtol=1e-4)


def test_the_output_and_large_kernels_are_not_rounded_to_bfloat16() -> None:
    trained = new_network(NANO, 0, imagenet=False).eval()
    kernels = [m for m in trained.modules() if isinstance(m, PreciseDepthwise)]
    assert {m.kernel_size[0] for m in kernels} == {3, 5}
    seen = []
    kernels[-1].register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    with torch.no_grad():
        u, _ = predict(trained, IMAGES)
    assert seen == [torch.float32]
    assert not torch.equal(u, u.bfloat16().float())
