# SPDX-License-Identifier: Apache-2.0
"""RollingDepth: relative depth of a clip from a model of short snippets (CVPR 2025).

Any function from the frames of a snippet to their relative depth will do; this one scales each
snippet by a random factor:

>>> import numpy as np
>>> from videodepth_ros.rollingdepth import plan_snippets, rolling_depth
>>> random = np.random.default_rng(0)
>>> clip = random.random((12, 32, 40)).astype(np.float32)
>>> snippets = plan_snippets(len(clip))
>>> [windows.shape for windows in snippets]  # dilations 1 and 3: the clip is short
[(10, 3), (6, 3)]
>>> depth = rolling_depth(snippets, lambda frames: random.uniform(0.8, 1.2) * clip[frames])
>>> merged = np.stack(list(depth))
>>> round(float(np.corrcoef(merged.ravel(), clip.ravel())[0, 1]), 3)
1.0

`rolling_recording` runs RollingDepth's network over a recording, shot by shot.
"""

from videodepth_ros.rollingdepth.inference import rolling_depth, rolling_recording
from videodepth_ros.rollingdepth.settings import (
    PRESETS,
    RollingPreset,
    RollingSettings,
    rolling_preset,
)
from videodepth_ros.rollingdepth.shot import SnippetNetwork
from videodepth_ros.rollingdepth.snippets import plan_snippets, predict_snippets

__all__ = [
    'PRESETS',
    'RollingPreset',
    'RollingSettings',
    'SnippetNetwork',
    'plan_snippets',
    'predict_snippets',
    'rolling_depth',
    'rolling_preset',
    'rolling_recording',
]
