# SPDX-License-Identifier: Apache-2.0
"""The module without ROS: `pip install .` gives the command line, the models and the bag tools.

ROS installs come through CMakeLists.txt, which also builds the messages; everything said about the
module stands in setup.cfg.
"""

from setuptools import setup

setup()
