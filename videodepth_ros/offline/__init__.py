# SPDX-License-Identifier: Apache-2.0
"""The offline wing: pairwise point maps of a recording become one trajectory and steady depth."""
