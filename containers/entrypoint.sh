#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: entrypoint.sh live|multi_camera|offline [ARGUMENT:=VALUE ...]   a launch file
#        entrypoint.sh health                                            the health check of a running container
#        entrypoint.sh ros2|bash|python ...                              a program of the image
#        entrypoint.sh COMMAND ...                                       a command of videodepth: refine, run-bag, doctor, ...
set -eo pipefail  # the files of ROS use unset variables
node=${VIDEODEPTH_NODE:-/videodepth}  # the live node, for the health check

for setup in "/opt/ros/$ROS_DISTRO/setup.bash" /opt/videodepth/share/videodepth/local_setup.bash; do
  # shellcheck disable=SC1090
  [ ! -f "$setup" ] || . "$setup"
done
export PATH=/opt/videodepth/bin:/opt/venv/bin:$PATH

health() {  # a job is healthy while it runs; a live node while it publishes a state other than failed
  case $(tr '\0' ' ' < "${VIDEODEPTH_MAIN_PROCESS:-/proc/1}/cmdline") in
    *live.launch.py*) ;;
    *) return 0 ;;
  esac
  local state
  state=$(timeout 8 ros2 topic echo --once --field state "$node/status" videodepth/msg/Status | head -n 1) || true
  case $state in
    '') echo "no status on $node/status: give the name of the node in VIDEODEPTH_NODE" >&2; return 1 ;;
    failed) echo "$node has failed: its log has the reason" >&2; return 1 ;;
    *) echo "$state" ;;
  esac
}

command=${1:-doctor}
[ $# -eq 0 ] || shift
case $command in
  live|multi_camera|offline) exec ros2 launch videodepth "$command.launch.py" "$@" ;;
  health) health ;;
  ros2|bash|python) exec "$command" "$@" ;;
  *) exec videodepth "$command" "$@" ;;
esac
