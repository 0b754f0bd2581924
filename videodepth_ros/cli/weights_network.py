# SPDX-License-Identifier: Apache-2.0
"""``videodepth weights import NET.onnx``: write the card of a network and run it once."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videodepth_ros.cli.model_facts import ModelFacts
from videodepth_ros.core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from videodepth_ros.core.arrays import UInt8Array
    from videodepth_ros.models.network_card import NetworkCard

ASKED = {'output': '', 'licence': '', 'mean': '[0, 0, 0]', 'std': '[1, 1, 1]', 'colours': 'rgb'}
"""Entries that are asked for at a terminal, with the answer of an empty line."""

CAMERA_PX = 640, 480  # size of the synthetic picture


def import_onnx(args: argparse.Namespace, network: Path) -> ModelFacts:
    """Import a network with the entries of the flags, or of answers at a terminal."""
    from videodepth_ros.models.network_import import (
        entries_of_file,
        has_fixed_size,
        import_network,
        packaged_entries,
    )

    given = dict(_entry(text) for text in args.entries)
    packaged = packaged_entries(args.card) if args.card else {}
    known = {**packaged, **given}
    entries = {**entries_of_file(network, known), **known}
    if not args.card and sys.stdin.isatty():
        asked = dict(ASKED)
        if not has_fixed_size(network, known) and 'size' not in entries:
            asked['multiple'] = ''
        entries |= {
            key: _ask(key, default) for key, default in asked.items() if key not in entries
        }
    picture = _picture(args.picture)
    card = import_network(network, entries, args.name or args.card or network.stem)
    print(f'{card.name}\n{try_network(card, picture)}')
    print(f'use it with --model {card.name}')
    if card.notice:
        print(card.notice)
    return ModelFacts(
        card.name,
        card.variant,
        card.licence,
        card.commercial_use,
        card.bundled,
        card.weights_file,
        card.sha256,
        card.source,
    )


def try_network(card: NetworkCard, picture: UInt8Array) -> str:
    """Run a network on a picture (H, W, 3) uint8 and return a description of the depth."""
    import numpy as np

    from videodepth_ros.stream.depth_stream import DepthStream
    from videodepth_ros.stream.session import SessionSettings

    with DepthStream(card.name, settings=SessionSettings(edge_ratio=1)) as stream:
        stream(picture, stamp_ns=1)
        start_s = time.perf_counter()
        depth_m = stream(picture, stamp_ns=2).depth_m
        step_ms = 1e3 * (time.perf_counter() - start_s)
    hit = depth_m[np.isfinite(depth_m)]
    if not hit.size:
        raise InputError(
            f'the network of {card.name} finds no depth in the picture: check output and '
            'normalisation in the card'
        )
    unit = 'without unit, the median at' if card.is_relative else 'm, the median at'
    width, height = card.input_size(picture.shape[1], picture.shape[0])
    return (
        f'{card.output.value} at {width}x{height}: from {hit.min():.3g} to {hit.max():.3g} {unit} '
        f'{np.median(hit):.3g}, in {step_ms:.0f} ms'
    )


def _picture(path: str | None) -> UInt8Array:
    """Return a picture (H, W, 3) uint8, red green blue."""
    import cv2
    import numpy as np

    if path is None:
        from videodepth_ros.engines.reference import reference_frames

        return next(iter(reference_frames(*CAMERA_PX)))
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f'the picture {path} cannot be read: give a JPEG or PNG file')
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _entry(text: str) -> tuple[str, Any]:
    """Return key and value of ENTRY=VALUE, the value as YAML has it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    key, equals, value = text.partition('=')
    if not equals:
        raise ConfigError(f'--set {text} has no value: write ENTRY=VALUE')
    try:
        return key, YAML(typ='safe').load(value)
    except YAMLError as error:
        raise ConfigError(f'--set {text}: {value!r} is not a value of YAML') from error


def _ask(key: str, default: str) -> Any:
    """Ask for an entry at the terminal until it is given."""
    from videodepth_ros.models.network_entries import ENTRIES

    suffix = f' [{default}]' if default else ''
    while True:
        answer = input(f'{key}: {ENTRIES[key][1]}{suffix}: ').strip() or default
        if answer:
            return _entry(f'{key}={answer}')[1]
