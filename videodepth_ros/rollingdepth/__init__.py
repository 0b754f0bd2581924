# SPDX-License-Identifier: Apache-2.0
"""Inference of RollingDepth: snippets, diffusion and co-alignment of a whole recording."""
