#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the bundled weights from nothing: training/make_nano.sh FOLDER. What FOLDER holds is kept and gone on from.
set -eu
cd "$(dirname "$0")/.."
folder=$1
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS="${THREADS:-1}"
"$python" -m training.generate "$folder/held_out" --clips 24 --seed 1000000 --held-out
clips=${CLIPS:-18000}
"$python" -m training.generate "$folder/train" --clips "$clips" --frames 3
"$python" -m training.generate "$folder/train" --first "$clips" --clips $((clips + clips / 10)) --frames 10
"$python" -m training.train --data "$folder/train" --held-out "$folder/held_out" --run "$folder/run" --threads "$OMP_NUM_THREADS"
"$python" -m training.export "$folder/run" "$folder/nano.safetensors"
