# SPDX-License-Identifier: Apache-2.0
# make demo      set up, then stream a sample through a ROS 2 graph; results in out/demo/
# make test      set up, then run every test that this machine can run
# make quick     lint, types and the fast tests: at most a minute on two cores
# make ros       set up, then the tests that start ROS 2 nodes, as on another distribution
# make strict    make test in random order and in Python's development mode (SEED=1 to repeat one)
# make nightly   ten minutes of soak, a minute of fuzzing a reader, then make strict
# make coverage  make test, with the share of lines that the tests run
# make docs      build the documentation into out/site/
# make format    format the code, fix what ruff can fix, write the generated files
# make setup     set up only: afterwards .venv/bin/videodepth and .venv/bin/python need nothing sourced
# A step is repeated only if its inputs have changed. make ROS=kilted VENV=.venv-kilted takes the wheels of Kilted.

VENV := .venv
PYTHON ?=
ROS ?= jazzy
ENVIRONMENT := $(VENV)/.environment
OVERLAY := $(shell find overlay -type f)
PACKAGE := package.xml CMakeLists.txt $(shell find action msg launch config videodepth_ros -type f -not -name '*.pyc')

PYTEST := $(VENV)/bin/python -m pytest -n logical --maxprocesses 4 --dist loadfile

.PHONY: setup demo test ros quick strict nightly coverage docs format clean
setup: $(VENV)/.package

demo: setup
	$(VENV)/bin/videodepth demo out/demo

# TensorRT-RTX compiles graphs without a GPU; if its wheels cannot be installed, those tests are skipped.
test coverage: setup
	-$(VENV)/bin/python -m pip install --quiet $$(grep '^tensorrt-rtx' requirements/gpu.txt)
	$(PYTEST) $(if $(filter coverage,$@),--cov --cov-report=term:skip-covered)

SEED := $(shell date +%s)
strict: setup
	PYTHONDEVMODE=1 $(PYTEST) --shuffle $(SEED)

nightly: setup
	$(VENV)/bin/python -m bench.soak --minutes 10 --out out/soak
	$(VENV)/bin/python -m bench.fuzz all --minutes 1 --out out/fuzz
	$(MAKE) strict

ros: setup
	$(PYTEST) -m ros

quick: setup
	$(VENV)/bin/python -m ruff check
	$(VENV)/bin/python -m ruff format --check
	$(VENV)/bin/python -m mypy
	$(PYTEST) -m 'not (ros or slow or gpu)'

docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --site-dir out/site

format: setup
	$(VENV)/bin/python -m tools.parameters
	$(VENV)/bin/python tools/draw_architecture.py
	$(VENV)/bin/python -m ruff check --fix-only
	$(VENV)/bin/python -m ruff format

clean:
	rm -rf $(VENV) build install log out

$(ENVIRONMENT): tools/setup_venv.sh tools/ros.sh tools/prefix.py $(wildcard requirements/*.txt)
	ROS=$(ROS) tools/setup_venv.sh $(VENV) $(PYTHON)
	touch $@

$(VENV)/.package: $(ENVIRONMENT) tools/build.sh tools/program.in $(OVERLAY) $(PACKAGE)
	tools/build.sh $(VENV)
	touch $@
