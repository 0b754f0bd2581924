# SPDX-License-Identifier: Apache-2.0
"""Families of scenes that only training renders, beside those that the package installs."""

from __future__ import annotations

from training.scenes import (
    crowds,
    gardens,
    jumbles,
    lattices,
    roads,
    rocks,
    shops,
    stairs,
    tunnels,
    warehouses,
)
from videodepth_ros.synthetic.families import FAMILIES, Family

_TRAINING_ONLY = (
    Family('roads', 7, roads.road),
    Family('jumbles', 15, jumbles.jumble),
    Family('warehouses', 16, warehouses.warehouse),
    Family('stairs', 17, stairs.stairs),
    Family('gardens', 18, gardens.garden),
    Family('tunnels', 19, tunnels.tunnel),
    Family('shops', 20, shops.shop),
    Family('lattices', 21, lattices.lattice),
    Family('crowds', 22, crowds.crowd),
    Family('rocks', 23, rocks.rocks),
    Family('drives', 24, roads.drive),
)
_INSTALLED = tuple(family for family in FAMILIES.values() if not family.held_out)

TRAINING_FAMILIES = {
    family.name: family
    for family in sorted((*_INSTALLED, *_TRAINING_ONLY), key=lambda family: family.number)
}
"""Every family that is trained on, by name, in the order in which clips take turns."""
