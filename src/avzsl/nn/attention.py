"""Multi-head attention, and the block that STFT uses twice: over segments (Eq. 4) and over modalities (Eq. 14)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from avzsl.nn.products import Linear


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads.

    Args:
        width: h, size of a token.
        heads: number of heads (paper: 8).
        head_width: size of one head (paper: 64).
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, heads * head_width)
        self.key = Linear(width, heads * head_width)
        self.value = Linear(width, heads * head_width)
        self.output = Linear(heads * head_width, width)

    def forward(self, queries: Tensor, keys: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """Let each query gather from the keys.

        Args:
            queries: [B, Q, h].
            keys: [B, K, h], also the source of the values.
            key_mask: [B, K] bool, True for a key that may be looked at, at least one in each row.

        Returns:
            [B, Q, h].
        """
        if keys.shape[1] == 1:
            # A softmax over one key is 1: every query receives that key's value, exactly.
            only: Tensor = self.output(self.value(keys))
            return only.expand(-1, queries.shape[1], -1)
        mask = None if key_mask is None else key_mask[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(queries)), self._split(self.key(keys)), self._split(self.value(keys)), mask
        )
        gathered: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return gathered

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)  # [B, heads, L, head_width]


class FeedForward(nn.Module):
    """MLP(LN(x)) + x with one GELU layer of `hidden` units (512 → 64 → 512 in STFT)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), Linear(width, hidden), nn.GELU(), Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Refine [..., h] tokens."""
        refined: Tensor = self.layers(tokens)
        return refined + tokens


class ReasoningBlock(nn.Module):
    """One attention and one MLP, shared by the latent semantic reasoning of Eq. 4 and the joint reasoning of Eq. 14.

    Our reading: one block serves both. The paper shares it between the two modalities; the parameter count of its
    Table X leaves room for no second one.

    Args:
        width: h.
        heads: number of heads.
        head_width: size of one head.
        hidden: units of the MLP.
    """

    def __init__(self, width: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self.attend = MultiHeadAttention(width, heads, head_width)
        self.feed = FeedForward(width, hidden)

    def over_segments(self, segments: Tensor, mask: Tensor | None = None) -> Tensor:
        """Eq. 4: R = MLP(LN(SA(K_o))) + SA(K_o).

        Args:
            segments: [B, L, h].
            mask: [B, L] bool, True for a real segment, at least one in each row.

        Returns:
            [B, L, h]; what stands at padded segments has no meaning.
        """
        refined: Tensor = self.feed(self.attend(segments, segments, mask))
        return refined

    def over_modalities(self, tokens: Tensor) -> Tensor:
        """Eq. 14: Q = Y + MHCA(Y, [Y_a, Y_v]), Z = MLP(LN(Q)) + Q, both directions at once.

        Args:
            tokens: [B, M, h], one token for each modality that is there.

        Returns:
            [B, M, h].
        """
        refined: Tensor = self.feed(tokens + self.attend(tokens, tokens))
        return refined
