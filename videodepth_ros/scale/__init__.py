# SPDX-License-Identifier: Apache-2.0
"""Metric scale of a stream from what robots have: height, lidar, depth, odometry; fused."""
