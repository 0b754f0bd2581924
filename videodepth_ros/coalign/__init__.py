# SPDX-License-Identifier: Apache-2.0
"""Co-alignment of depth snippets (RollingDepth, CVPR 2025, section 3.3).

Four frames in two overlapping snippets; the second one is scaled by 0.8:

>>> import numpy as np
>>> from videodepth_ros.coalign import CoalignOptions, Snippets, align_snippets, merge_snippets
>>> clip = np.random.default_rng(0).random((4, 8, 9)).astype(np.float32)
>>> clip[0, 0, 0] = 0  # scales apply to depth less its minimum
>>> frames = np.array([[0, 1, 2], [1, 2, 3]])  # (S, L): frame index of each depth map
>>> relative_depth = clip[frames] * np.float32([1, 0.8]).reshape(2, 1, 1, 1)
>>> snippets = [Snippets(frames, relative_depth)]  # one entry per dilation
>>> found = align_snippets(snippets, CoalignOptions(stride_px=1, border_px=0))
>>> [round(float(scale), 2) for scale in found.scales[0] / found.scales[0][0]]
[1.0, 1.25]
>>> merged = np.stack(list(merge_snippets(snippets, found)))  # (N, H, W), up to scale and shift
>>> merged.shape
(4, 8, 9)

`streaming.coalign_stream` corrects the depth of a model that processes one frame at a time.
"""

from videodepth_ros.coalign.options import CoalignOptions, ObjectiveWeights
from videodepth_ros.coalign.samples import SnippetArray, Snippets
from videodepth_ros.coalign.solver import SnippetAlignment, align_snippets, merge_snippets

__all__ = [
    'CoalignOptions',
    'ObjectiveWeights',
    'SnippetAlignment',
    'SnippetArray',
    'Snippets',
    'align_snippets',
    'merge_snippets',
]
