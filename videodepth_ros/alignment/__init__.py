# SPDX-License-Identifier: Apache-2.0
"""Global alignment of point-map pairs (Align3R, CVPR 2025; DUSt3R, CVPR 2024)."""
