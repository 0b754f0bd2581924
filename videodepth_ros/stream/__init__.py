# SPDX-License-Identifier: Apache-2.0
"""One camera: its newest frame, its recurrent state, its scale."""
