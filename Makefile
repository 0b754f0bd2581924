# SPDX-License-Identifier: Apache-2.0
# make demo    set everything up and watch a camera stream become depth; results in out/demo/
# make test    set everything up and run every test that this machine can run
# make setup   only set up: afterwards .venv/bin/videodepth and .venv/bin/python need nothing sourced
# Each step is done again only when what it depends on has changed.

VENV := .venv
PYTHON ?=
ENVIRONMENT := $(VENV)/.environment
OVERLAY := $(shell find overlay -type f)
PACKAGE := package.xml CMakeLists.txt $(shell find action msg launch config videodepth_ros -type f -not -name '*.pyc')

.PHONY: setup demo test clean
setup: $(VENV)/.package

demo: setup
	$(VENV)/bin/videodepth demo out/demo

# TensorRT-RTX compiles every graph without a GPU; where its wheels cannot be had, those tests skip with the reason.
test: setup
	-$(VENV)/bin/python -m pip install --quiet $$(grep '^tensorrt-rtx' requirements/gpu.txt)
	$(VENV)/bin/python -m pytest

clean:
	rm -rf $(VENV) build install log out

$(ENVIRONMENT): tools/setup_venv.sh tools/ros.sh tools/prefix.py $(wildcard requirements/*.txt)
	tools/setup_venv.sh $(VENV) $(PYTHON)
	touch $@

$(VENV)/.package: $(ENVIRONMENT) tools/build.sh tools/program.in $(OVERLAY) $(PACKAGE)
	tools/build.sh $(VENV)
	touch $@
