# SPDX-License-Identifier: Apache-2.0
"""The module of OpenVINO, imported without its telemetry.

Its import would report to a server on the internet, in a thread, unless the user has opted out
(openvino.tools.ovc). Without the package of the telemetry it uses a stub.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, cast

sys.modules.setdefault(
    'openvino_telemetry', cast(ModuleType, None)
)  # its import fails from now on

ov: Any = importlib.import_module('openvino')
properties: Any = importlib.import_module('openvino.properties')
