# SPDX-License-Identifier: Apache-2.0
"""Words in the name of a topic, which mark the kind of its images."""

from __future__ import annotations

import re

_WORDS = re.compile('[A-Z]+(?![a-z])|[A-Z]?[a-z]+')


def topic_words(topic: str) -> list[str]:
    """Return the words of a topic's name, lower-case: image_rect_color, Depth0, imageRect.

    They end at / _ - digits and capital letters.
    """
    return [word.lower() for word in _WORDS.findall(topic)]
