# SPDX-License-Identifier: Apache-2.0
"""The makers of recordings of the tests of bags are of use here too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / 'bags'))   # bag_makers
