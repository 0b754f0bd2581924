# SPDX-License-Identifier: Apache-2.0
"""How the bundled weights were made: data, losses, training and export. Not installed."""
