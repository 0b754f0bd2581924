# SPDX-License-Identifier: Apache-2.0
"""Version of the package, wherever it is installed."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path


def version() -> str:
    """Return the version: of package.xml in a source tree, else of the installed distribution.

    pip installs the distribution ``videodepth``; ament_cmake_python installs ``videodepth_ros``.
    """
    manifest = Path(__file__).resolve().parents[2] / 'package.xml'
    if manifest.is_file() and (
        found := re.search(r'<version>(.+)</version>', manifest.read_text())
    ):
        return found[1]
    for name in ('videodepth_ros', 'videodepth'):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return 'unknown'
