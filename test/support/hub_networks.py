# SPDX-License-Identifier: Apache-2.0
"""Tiny networks with the tensors of the ONNX files that the packaged cards are for.

Names, ranks, open sides and further outputs are those of the published files (stored pages of the
hubs, November 2026); the depth is 5 more than the mean of the normalised channels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

WIDTH, HEIGHT = 56, 28
SHIFT, UNIT_M, TOKENS_OF_A_METRE = 0.6, 3.0, 400.0

_HEAD = '<ir_version: 8, opset_import: ["" : 18]>\n'
_MEAN = """<int64[1] axis = {%(axis)d}, float[1] five = {5.0}> {
  mean = ReduceMean<keepdims = %(keep)d>(%(image)s, axis)
  offset = CastLike(five, mean)
  %(depth)s = Add(mean, offset)
  %(more)s
}"""


def _mean(signature: str, image: str, depth: str, axis: int, keep: int, more: str = '') -> str:
    parts = {'image': image, 'depth': depth, 'axis': axis, 'keep': keep, 'more': more}
    return f'{_HEAD}net {signature}\n{_MEAN % parts}'


_DA3 = """(float[batch, num_images, 3, height, width] pixel_values) => (
  float[batch, num_images, height, width] predicted_depth,
  float[batch, num_images, height, width] confidence,
  float[a, b, c, d, e] extrinsics, float[a, b, c, d, e] intrinsics)"""
_DA3_MORE = """confidence = Identity(mean)
  extrinsics = Identity(pixel_values)
  intrinsics = Identity(pixel_values)"""
_METRIC3D = """(float[batch_size, 3, height, width] pixel_values) => (
  float[batch_size, rows, columns] predicted_depth,
  float[batch_size, 3, height, width] predicted_normal,
  float[batch_size, rows, columns] normal_confidence)"""
_METRIC3D_MORE = """predicted_normal = Identity(pixel_values)
  normal_confidence = Identity(mean)"""
_MOGE = f"""{_HEAD}net (float[batch_size, 3, height, width] image, int64 num_tokens) => (
  float[a, b, c, d] points, float[a, b, c, d] normal, float[a, b, c] mask, float[n] scale)
<int64[1] last = {{3}}, float[1] four = {{4.0}}, float[1] one = {{1.0}},
 float[1] shift = {{{SHIFT}}}, float[1] metre = {{{TOKENS_OF_A_METRE}}}> {{
  normal = Transpose<perm = [0, 2, 3, 1]>(image)
  red, green, blue = Split<axis = 3, num_outputs = 3>(normal)
  grown = Mul(red, four)
  depth = Add(grown, one)
  xy = Mul(rays, depth)
  z = Sub(depth, shift)
  points = Concat<axis = 3>(xy, z)
  mask = Squeeze(blue, last)
  tokens = Cast<to = 1>(num_tokens)
  scale = Div(tokens, metre)
}}"""

_FIXED = f'float[1, 3, {HEIGHT}, {WIDTH}]'
_FIXED_MAP = f'float[1, 1, {HEIGHT}, {WIDTH}]'
_BATCH = f'float[batch, 3, {HEIGHT}, {WIDTH}]'
_BATCH_MAP = f'float[batch, 1, {HEIGHT}, {WIDTH}]'
_OPEN = '(float[batch_size, 3, height, width] pixel_values)'
TEXTS = {
    'depth-anything-v2-small': _mean(
        f'({_FIXED} image) => ({_FIXED_MAP} depth)', 'image', 'depth', 1, 1
    ),
    'depth-anything-v2-small-hub': _mean(
        f'{_OPEN} => (float[batch_size, height, width] predicted_depth)',
        'pixel_values',
        'predicted_depth',
        1,
        0,
    ),
    'depth-anything-3-small': _mean(_DA3, 'pixel_values', 'predicted_depth', 2, 0, _DA3_MORE),
    'depth-anything-3-metric-large': _mean(
        f'({_BATCH} image) => ({_BATCH_MAP} depth, {_BATCH_MAP} sky)',
        'image',
        'depth',
        1,
        1,
        'sky = Identity(mean)',
    ),
    'depthart-small': _mean(f'({_FIXED} image) => ({_FIXED_MAP} depth)', 'image', 'depth', 1, 1),
    'metric3d-v2-small': _mean(
        f'({_FIXED} image) => ({_FIXED_MAP} pred_depth)', 'image', 'pred_depth', 1, 1
    ),
    'metric3d-v2-small-hub': _mean(
        _METRIC3D, 'pixel_values', 'predicted_depth', 1, 0, _METRIC3D_MORE
    ),
    'moge-2-small': _MOGE,
    'zipdepth': _mean(f'({_FIXED} input) => ({_FIXED_MAP} depth)', 'input', 'depth', 1, 1),
}
"""Graphs by the name of their card."""


def write_hub_network(path: Path, card: str, *, half: bool = False, data: str = '') -> Path:
    """Write the network of a card.

    half  in float16, input and outputs too
    data  name of a file beside it for the weights; empty: they are in the graph
    """
    text = TEXTS[card]
    if half:
        signature, body = text.split('<int64', 1)
        text = signature.replace('float[', 'float16[') + '<int64' + body
    model = parser.parse_model(text)
    if card.startswith('moge'):
        model.graph.initializer.append(numpy_helper.from_array(_rays(), 'rays'))
    for tensor in model.graph.initializer:
        if tensor.float_data:  # only raw data can lie beside the graph
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    where = {'save_as_external_data': True, 'location': data, 'size_threshold': 0} if data else {}
    onnx.save_model(model, path, **where)
    return path


def _rays() -> np.ndarray:
    """Return X / Z and Y / Z (1, HEIGHT, WIDTH, 2) float32 of a camera with centred axis."""
    x, y = np.meshgrid(np.arange(WIDTH) - (WIDTH - 1) / 2, np.arange(HEIGHT) - (HEIGHT - 1) / 2)
    return np.stack([x, y], -1)[None].astype(np.float32) / 45


def expected_depth(image: np.ndarray, card: str, mean, std, white: float) -> np.ndarray:
    """Return the depth output (H, W) for an image (H, W, 3) uint8: of MoGe in metres."""
    share = image.astype(np.float64) / 255
    if card.startswith('moge'):
        return UNIT_M * (1 + 4 * share[..., 0])
    return ((share * white - np.array(mean)) / np.array(std)).mean(-1) + 5
