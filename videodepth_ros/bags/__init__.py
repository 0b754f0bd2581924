# SPDX-License-Identifier: Apache-2.0
"""Recorded sequences in and out, without ROS."""
