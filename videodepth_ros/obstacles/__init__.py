# SPDX-License-Identifier: Apache-2.0
"""Obstacles on the ground, and a laser scan of them, from depth maps; on plain arrays."""
