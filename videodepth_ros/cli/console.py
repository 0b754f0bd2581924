# SPDX-License-Identifier: Apache-2.0
"""Messages and progress bars on stderr; results go to stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar('T')

log = logging.getLogger('videodepth')
"""Logger of the commands: INFO is progress, which --quiet suppresses; WARNING and above stay."""


def configure(*, quiet: bool) -> None:
    """Log to stderr without decoration; with ``quiet`` only warnings and errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter('%(message)s'))
    log.handlers[:] = [handler]
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    log.propagate = False


def progress(items: Iterable[T], total: int | None, *, leave: bool = True) -> Iterable[T]:
    """Return frames with a progress bar on a terminal; ``leave`` it there at the end."""
    bar: tqdm[T] = progress_bar(iterable=items, total=total, unit='frame', leave=leave)
    return bar


def progress_bar(**arguments: Any) -> tqdm[Any]:
    """Return a bar of tqdm that appears on a terminal only, and not if quiet."""
    from tqdm import tqdm

    # None: disabled unless stderr is a terminal.
    disable = None if log.isEnabledFor(logging.INFO) else True
    return tqdm(disable=disable, **arguments)
