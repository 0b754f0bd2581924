# SPDX-License-Identifier: Apache-2.0
"""Results of a refinement: recording, trajectory, point cloud, preview video and report.

Internal: `refine_bag` writes them; not part of the public API.
"""
