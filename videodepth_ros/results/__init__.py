# SPDX-License-Identifier: Apache-2.0
"""Outputs of the offline job: recording, trajectory, point cloud, video and report."""
