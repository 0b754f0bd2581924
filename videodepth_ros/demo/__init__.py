# SPDX-License-Identifier: Apache-2.0
"""The demo: a sample bag played through the live node in a real ROS 2 graph, and looked at."""
