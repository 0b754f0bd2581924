# SPDX-License-Identifier: Apache-2.0
"""Deprecated names of version 0.1; import `alignment` and `rollingdepth` instead."""
