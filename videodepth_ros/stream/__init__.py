# SPDX-License-Identifier: Apache-2.0
"""Live stream of one camera: newest frame, recurrent state, scale, postprocessing."""
