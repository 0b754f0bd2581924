# SPDX-License-Identifier: Apache-2.0
"""Deprecated modules of version 0.1; import `alignment`, `coalign` and `rollingdepth` instead."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec('P')
T = TypeVar('T')


def accept_old_keywords(function: Callable[P, T], **new_names: str) -> Callable[..., T]:
    """Return ``function`` with its keywords of version 0.1 accepted too.

    new_names  old=new; None, which stood for the default, is dropped
    """

    @wraps(function)
    def call(*args: object, **kwargs: object) -> T:
        renamed = {
            new_names.get(name, name): value
            for name, value in kwargs.items()
            if not (name in new_names and value is None)
        }
        return function(*args, **renamed)  # type: ignore[arg-type]

    return call
