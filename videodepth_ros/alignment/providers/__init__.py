# SPDX-License-Identifier: Apache-2.0
"""Pair providers: what computes the point maps of two frames."""
