# SPDX-License-Identifier: Apache-2.0
"""Normalisation of images as in training on ImageNet."""

from __future__ import annotations

MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue over ImageNet, as a fraction of full scale."""

STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue over ImageNet."""
