# SPDX-License-Identifier: Apache-2.0
"""Textured moving scenes with exact depth and poses."""
