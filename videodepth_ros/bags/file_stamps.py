# SPDX-License-Identifier: Apache-2.0
"""Stamps in the names of image files, as data sets and exporters of bags write them.

Seconds with a fraction (TUM RGB-D), whole nanoseconds (EuRoC), micro- or milliseconds, or seconds
and nanoseconds side by side, padded or not. Numbers that only count are no stamps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from videodepth_ros.bags.options import FILE_STAMPS, FileStampOptions
from videodepth_ros.core.arrays import StampArray

_NUMBERS = (
    re.compile(r'(?P<whole>\d+)(?:(?P<mark>[._-])(?P<rest>\d+))?(?P<tail>\D*)$'),
    re.compile(r'(?P<whole>\d+)(?P<mark>)(?P<rest>)(?P<tail>\D*)$'),
)
"""Seconds with a fraction; the last number alone, as one before it may be that of the camera."""
_EPOCH_S = 10**9, 4_100_000_000
"""Seconds since 1970 that are a plausible time: 2001 to 2099."""
_WHOLE_UNITS_NS = 10**9, 10**6, 10**3, 1
_NS_DIGITS = 9


def stamps_in_names(
    stems: Sequence[str], options: FileStampOptions = FILE_STAMPS
) -> StampArray | None:
    """Return the stamps (N,) int64 [ns] in the names of files without suffix.

    returns  None if the names hold none, or some are equal
    """
    if len(stems) < 2:
        return None
    each = (_stamps_by(number, stems) for number in _NUMBERS)
    stamps = next((stamps for stamps in each if stamps is not None), None)
    if stamps is None:
        return None
    gaps_s = np.diff(np.sort(stamps)) / 1e9
    plausible = options.min_gap_s <= np.median(gaps_s) <= options.max_gap_s
    return stamps if plausible and gaps_s.all() else None


def _stamps_by(number: re.Pattern[str], stems: Sequence[str]) -> StampArray | None:
    """Return the stamps that a pattern finds between texts that all names share, if any."""
    found = [match for stem in stems if (match := number.search(stem))]
    if len(found) < len(stems):
        return None
    frames = {(match.string[: match.start()], match['tail']) for match in found}
    return _parse(found) if len(frames) == 1 else None


def _parse(found: Sequence[re.Match[str]]) -> StampArray | None:
    wholes = [int(match['whole']) for match in found]
    rests = [match['rest'] for match in found]
    if not any(rests):
        return _whole_stamps(wholes)
    is_epoch = all(_EPOCH_S[0] <= whole < _EPOCH_S[1] for whole in wholes)
    marks = {match['mark'] for match in found} - {None}
    longest = max(len(rest or '') for rest in rests)
    if longest > _NS_DIGITS or (marks != {'.'} and not is_epoch):
        return None
    fractions = [int(rest or 0) for rest in rests]
    if marks == {'.'} and not _is_unpadded([rest for rest in rests if rest]):
        fractions = [int((rest or '0').ljust(_NS_DIGITS, '0')) for rest in rests]
    stamps = [whole * 10**9 + ns for whole, ns in zip(wholes, fractions, strict=True)]
    return np.array(stamps, np.int64) if max(stamps) < _EPOCH_S[1] * 10**9 else None


def _whole_stamps(wholes: Sequence[int]) -> StampArray | None:
    """Return numbers since 1970 in the unit, of seconds to nanoseconds, that makes them times."""
    for unit_ns in _WHOLE_UNITS_NS:
        first, last = (limit * 10**9 // unit_ns for limit in _EPOCH_S)
        if all(first <= whole < last for whole in wholes):
            return np.array(wholes, np.int64) * unit_ns
    return None


def _is_unpadded(rests: Sequence[str]) -> bool:
    """Return whether digits after a point are nanoseconds without leading zeros.

    A decimal fraction has no zeros at its end, unless all are padded to one length.
    """
    if len({len(rest) for rest in rests}) == 1:
        return False
    several = [rest for rest in rests if len(rest) > 1]
    if any(rest.startswith('0') for rest in several):
        return False
    return (
        any(rest.endswith('0') for rest in several) or len(max(rests, key=len)) >= _NS_DIGITS - 1
    )
