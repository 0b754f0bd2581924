# SPDX-License-Identifier: Apache-2.0
"""The module without ROS: `pip install .` gives the command line, the models and the bag tools.

A ROS installation uses CMakeLists.txt, which also builds the messages. Metadata: setup.cfg.
"""

from setuptools import setup

setup()
