# SPDX-License-Identifier: Apache-2.0
"""Conversion between arrays and message fields, without rclpy."""
