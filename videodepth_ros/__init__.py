# SPDX-License-Identifier: Apache-2.0
"""Dense, temporally stable depth from one camera, for ROS 2."""
