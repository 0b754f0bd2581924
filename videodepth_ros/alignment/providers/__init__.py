# SPDX-License-Identifier: Apache-2.0
"""Pair providers: sources of point-map pairs for the global alignment."""
