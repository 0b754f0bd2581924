# SPDX-License-Identifier: Apache-2.0
"""Arrays to and from message fields, without rclpy."""
