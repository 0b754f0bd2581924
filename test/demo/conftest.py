# SPDX-License-Identifier: Apache-2.0
"""The fixtures of nodes, for the processes of the demo."""

from __future__ import annotations

from test.nodes.conftest import make_rig, ros

__all__ = ['make_rig', 'ros']
