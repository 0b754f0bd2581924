# SPDX-License-Identifier: Apache-2.0
"""Depth, boundary and trajectory metrics on plain arrays."""
