# SPDX-License-Identifier: Apache-2.0
"""Files that the worker processes of one test run share: rendered scenes, exported graphs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock


@dataclass(frozen=True)
class SharedCache:
    """A folder of one test run; what one worker makes, the others read."""

    folder: Path

    def path(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the path ``name``, which ``make`` writes at the path that it is given."""
        target = self.folder / name
        with FileLock(f'{target}.lock'):
            if not target.exists():
                partial = target.with_name(f'partial-{name}')
                make(partial)
                partial.rename(target)
        return target

    def value(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returns, from a pickle if a worker has called it before."""
        path = self.path(name, lambda path: path.write_bytes(pickle.dumps(make())))
        return pickle.loads(path.read_bytes())
