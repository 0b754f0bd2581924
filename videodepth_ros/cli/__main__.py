# SPDX-License-Identifier: Apache-2.0
"""``python -m videodepth_ros.cli`` is ``videodepth``."""

import sys

from videodepth_ros.cli import main

sys.exit(main())
