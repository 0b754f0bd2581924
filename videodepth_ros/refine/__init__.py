# SPDX-License-Identifier: Apache-2.0
"""The offline job: a recording in; refined depth, intrinsics and camera poses out."""
