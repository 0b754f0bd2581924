#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: tools/build.sh VENV
# Build the package with ament_cmake and install it into the prefix VENV; first the interfaces that the wheels of ROS 2 lack.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
root=$(dirname "$here")
venv=$(realpath "$1")
. "$here/ros.sh"
ros=$(sourced_ros "$venv")

export PATH=$venv/bin:$PATH
export AMENT_PREFIX_PATH=$venv${ros:+:$AMENT_PREFIX_PATH} CMAKE_PREFIX_PATH=$venv${ros:+:${CMAKE_PREFIX_PATH:-$AMENT_PREFIX_PATH}}

build() {  # $1: name, $2: folder of the sources, $3...: options for cmake
  local name=$1 sources=$2; shift 2
  local folder=$venv/build/$name log=$venv/build/$name.log
  mkdir -p "$folder"
  echo "building $name ..."
  ( cmake -S "$sources" -B "$folder" -G Ninja -Wno-dev -DCMAKE_INSTALL_PREFIX="$venv" -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$venv/bin/python" "$@" &&
    cmake --build "$folder" && cd "$folder" && cmake --install . ) >"$log" 2>&1 || {
    tail -n 30 "$log" >&2; echo "building $name failed; the log is $log" >&2; exit 1; }
}

site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
[ -n "$ros" ] || for interfaces in tf2_msgs foxglove_msgs; do build "$interfaces" "$root/overlay/$interfaces"; done
rm -rf "$site/videodepth_ros"  # remove modules that are no longer in the tree
build videodepth "$root" -DAMENT_CMAKE_SYMLINK_INSTALL=ON  # edits in the tree take effect without a build
