"""Parts that AVCA and the methods built on its code share: one- and two-layer nets, a pre-norm transformer layer.

Source: the public code of Mercea et al., CVPR 2022. Every net ends in ReLU and dropout, so none is negative.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from avzsl.nn.dense import norm_relu_dropout
from avzsl.nn.dropout import Dropout
from avzsl.nn.mlp import RowNorm
from avzsl.nn.products import Linear


class OneLayer(nn.Module):
    """Linear · BatchNorm · ReLU · Dropout ("One", "M1").

    Args:
        inputs: width of a row.
        outputs: width of the result.
        dropout: rate.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = Linear(inputs, outputs)
        self.norm = RowNorm(outputs)
        self.dropout = Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """Map [N, inputs] to [N, outputs], not negative."""
        return norm_relu_dropout(self.linear(rows), self.norm, self.dropout)


class TwoLayer(nn.Module):
    """Linear · BatchNorm · ReLU · Dropout, twice ("Two", "M2").

    Args:
        inputs: width of a row.
        hidden: width between the layers.
        outputs: width of the result.
        dropout: rate of both layers.
        momentum: weight of the newest batch in the running statistics of the *second* norm; the first keeps 0.1 (the
            public code's setting reaches the second alone).
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float, momentum: float = 0.1) -> None:
        super().__init__()
        self.first = OneLayer(inputs, hidden, dropout)
        self.second = OneLayer(hidden, outputs, dropout)
        self.second.norm.momentum = momentum

    def forward(self, rows: Tensor) -> Tensor:
        """Map [N, inputs] to [N, outputs], not negative."""
        result: Tensor = self.second(self.first(rows))
        return result


class TransformerLayer(nn.Module):
    """One pre-norm layer: x ← x + Attention(LN(x)), x ← x + FeedForward(LN(x)); no final norm.

    Query, key and value come from one matrix without bias, in this order, heads side by side. Dropout follows the
    output matrix of the attention, the GELU and the last matrix; none is on the attention weights.

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
        self.norm_attention = nn.LayerNorm(width)
        self.queries_keys_values = Linear(width, 3 * heads * head_width, bias=False)
        self.output = Linear(heads * head_width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.expand = Linear(width, hidden)
        self.shrink = Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Let [B, L, width] tokens look at each other; the same shape comes back."""
        query, key, value = self.queries_keys_values(self.norm_attention(tokens)).chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(self._split(query), self._split(key), self._split(value))
        tokens = tokens + self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        refined = self.dropout(functional.gelu(self.expand(self.norm_feed(tokens))))
        result: Tensor = tokens + self.dropout(self.shrink(refined))
        return result

    def _split(self, values: Tensor) -> Tensor:
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)  # [B, heads, L, head_width]
