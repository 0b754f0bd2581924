# SPDX-License-Identifier: Apache-2.0
"""Structure from motion with a depth prior: tracks, loop closure and bundle adjustment."""
