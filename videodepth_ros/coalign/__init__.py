# SPDX-License-Identifier: Apache-2.0
"""Co-alignment of depth snippets (RollingDepth, CVPR 2025, section 3.3)."""
