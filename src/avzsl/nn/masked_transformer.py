"""A transformer over one class token and the segments of two modalities, with a mask over pairs of tokens.

Source: the public code of Mercea et al. (TCaF), ECCV 2022.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.nn.dropout import Dropout
from avzsl.nn.products import Linear

Attention = Literal["cross", "self", "both"]


def token_mask(audio: Tensor, visual: Tensor, attention: Attention = "cross") -> Tensor:
    """Which token may look at which, for the sequence class token, audio, visual.

    The class token and a real segment always see each other, and padding sees nothing and is seen by nothing. A segment
    sees those of the other modality (`"cross"`, so not even itself), those of its own (`"self"`) or all (`"both"`).

    Args:
        audio: [B, L_a] bool, True for a real segment.
        visual: [B, L_v] bool, likewise.
        attention: which segments see each other.

    Returns:
        [B, N, N] bool with N = 1 + L_a + L_v, row = who looks, column = who is looked at.
    """
    real = torch.cat([audio.new_ones(len(audio), 1), audio, visual], 1)
    allowed = real.unsqueeze(2) & real.unsqueeze(1)
    if attention == "both":
        return allowed
    counts = torch.tensor([1, audio.shape[1], visual.shape[1]], device=audio.device)
    kind = torch.arange(3, device=audio.device).repeat_interleave(counts, output_size=real.shape[1])
    same = kind.unsqueeze(1) == kind
    with_class = (kind.unsqueeze(1) == 0) | (kind == 0)
    return allowed & (with_class | (same if attention == "self" else ~same))


class MaskedLayer(nn.Module):
    """x ← x + Attention(LN(x)), x ← x + FeedForward(LN(x)), with one and the same LN in both places.

    Queries, keys and values have no bias; dropout follows the output matrix of the attention, the GELU and the last
    matrix, and none is on the attention weights.

    Args:
        width: of a token.
        heads: number of heads.
        head_width: of one head.
        hidden: units of the feed-forward part.
        dropout: rate.
    """

    def __init__(self, width: int, heads: int, head_width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = Linear(width, heads * head_width, bias=False)
        self.keys_values = Linear(width, 2 * heads * head_width, bias=False)
        self.output = Linear(heads * head_width, width)
        self.expand = Linear(width, hidden)
        self.shrink = Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor, first: int | None = None) -> Tensor:
        """Let tokens look at each other.

        Args:
            tokens: [B, N, width].
            mask: [B, N, N] bool as of `token_mask`; a row without any True looks at all tokens alike.
            first: work out only so many leading tokens; None = all.

        Returns:
            [B, first or N, width].
        """
        mask, normal = mask[:, :first], self.norm(tokens)
        blind = ~mask.any(2, keepdim=True)  # [B, N, 1]
        # A query of zeros gives every key the same score; no row is left for which softmax has nothing to choose from.
        query = self.query(normal[:, :first]).masked_fill(blind, 0.0)
        key, value = self.keys_values(normal).chunk(2, dim=2)
        mixed = functional.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value), (mask | blind).unsqueeze(1)
        )
        tokens = tokens[:, :first] + self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        refined = self.dropout(functional.gelu(self.expand(self.norm(tokens))))
        result: Tensor = tokens + self.dropout(self.shrink(refined))
        return result

    def _split(self, values: Tensor) -> Tensor:
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)  # [B, heads, L, head_width]


class MaskedTransformer(nn.Module):
    """`depth` layers of `MaskedLayer` without a final norm, of which the class token alone is read.

    Args:
        width: of a token.
        depth: number of layers.
        heads: number of heads.
        head_width: of one head.
        hidden: units of the feed-forward parts.
        dropout: rate.
    """

    def __init__(self, width: int, depth: int, heads: int, head_width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MaskedLayer(width, heads, head_width, hidden, dropout) for _ in range(depth))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The class token [B, width] after the last layer.

        Args:
            tokens: [B, N, width], the class token first.
            mask: [B, N, N] bool as of `token_mask`.
        """
        last = len(self.layers) - 1
        for place, layer in enumerate(self.layers):
            tokens = layer(tokens, mask, 1 if place == last else None)  # nobody looks at the others afterwards
        return tokens[:, 0]
