# SPDX-License-Identifier: Apache-2.0
"""Files whose reads allocate no more than what is left of them.

A file object allocates a buffer of the requested size before it reads; in a damaged recording that
size may be any number.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any


class BoundedFile(io.BufferedReader):
    """A binary file of constant size."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes; all that are left where it is negative or None."""
        left = max(self._size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


class BoundedPath(type(Path())):  # type: ignore[misc]  # the class of this system's paths
    """A path that is opened as a BoundedFile, for a library that opens it itself."""

    def open(self, *_: Any, **__: Any) -> BoundedFile:
        """Open the file for reading bytes."""
        return BoundedFile(self)
