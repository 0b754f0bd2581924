# SPDX-License-Identifier: Apache-2.0
"""What the offline job leaves behind: a recording, a trajectory, a cloud, a video and a page."""
