# SPDX-License-Identifier: Apache-2.0
"""Cameras, rigid motions and masks: pure functions on arrays."""
