# SPDX-License-Identifier: Apache-2.0
"""A folder of results that is there as a whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videodepth_ros.core.errors import BagError
from videodepth_ros.core.workspace import require_new


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield the path of a folder to create, which is renamed to ``folder`` after the block.

    raises  BagError if that exists or cannot be written; nothing is left if the block raises
    """
    require_new(folder)
    temporary = folder.parent / f'.{folder.name}.partial'
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed run
    try:
        temporary.mkdir(parents=True)
        yield temporary / folder.name
        (temporary / folder.name).rename(folder)
    except OSError as error:
        raise BagError(f'{folder} cannot be written: {error}') from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
