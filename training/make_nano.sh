#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the bundled weights: training/make_nano.sh FOLDER [SEQUENCE ...]. What FOLDER holds is kept and resumed.
# SEQUENCE: a recording with depth, a folder as training/recorded.py describes it.
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS="${THREADS:-1}"
"$python" -m training.generate "$folder/held_out" --clips 24 --seed 1000000 --held-out
clips=${CLIPS:-18000}
"$python" -m training.generate "$folder/train" --clips "$((clips / 10))" --frames 8
"$python" -m training.generate "$folder/train" --first "$((clips / 10))" --clips "$clips" --frames 2
mkdir -p "$folder/recorded"
if [ $# -gt 0 ]; then
    "$python" -m training.recorded "$folder/recorded" "$@"
fi
"$python" -m training.train --data "$folder/train" --recorded "$folder/recorded" --held-out "$folder/held_out" \
    --run "$folder/run" --start videodepth_ros/weights/nano-1.safetensors --threads "$OMP_NUM_THREADS"
"$python" -m training.export "$folder/run" "$folder/nano.safetensors"
