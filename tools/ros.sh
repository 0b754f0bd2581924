# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it: find the ROS 2 installation.

# The ROS installation that is sourced: the first prefix in AMENT_PREFIX_PATH that holds rclpy, other than ours. Empty where there is none.
sourced_ros() {  # $1: the virtual environment, which is a prefix itself and may be in the path
  local prefix IFS=:
  for prefix in ${AMENT_PREFIX_PATH:-}; do
    [ "$(realpath -m "$prefix")" != "$(realpath -m "$1")" ] && [ -d "$prefix/share/rclpy" ] && echo "$prefix" && return
  done
  return 0
}
