# SPDX-License-Identifier: Apache-2.0
"""The ROS nodes: the only place that imports rclpy."""
