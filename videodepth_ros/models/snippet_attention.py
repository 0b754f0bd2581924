# SPDX-License-Identifier: Apache-2.0
"""Self-attention over all frames of a snippet, on a stock UNet of `diffusers`.

RollingDepth (arXiv 2411.19189, section 3.1) adds no parameters to the image model: the tokens of a
snippet's frames form one sequence, without positional encoding of the frames. Cross-attention to
the text stays per frame.
"""

from __future__ import annotations

from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

SELF_ATTENTION = 'attn1.processor'
"""Suffix of the names of self-attention processors in `diffusers`."""


class SnippetAttention(AttnProcessor2_0):
    """Attention over ``length`` consecutive frames of the batch."""

    length = 1

    def __call__(
        self, attn: Attention, hidden_states: Tensor, *arguments: Any, **named: Any
    ) -> Tensor:
        """Attend; hidden_states (snippets * length, tokens, channels), in and out.

        The further arguments are those of `diffusers`.
        """
        frames, tokens, channels = hidden_states.shape
        joint = hidden_states.reshape(frames // self.length, self.length * tokens, channels)
        attended: Tensor = super().__call__(attn, joint, *arguments, **named)
        return attended.reshape(frames, tokens, channels)


def attend_over_snippets(unet: UNet2DConditionModel) -> SnippetAttention:
    """Replace every self-attention by one over snippets; its ``length`` is set by the caller."""
    attention = SnippetAttention()
    unet.set_attn_processor(
        {
            name: attention if name.endswith(SELF_ATTENTION) else AttnProcessor2_0()
            for name in unet.attn_processors
        }
    )
    return attention
