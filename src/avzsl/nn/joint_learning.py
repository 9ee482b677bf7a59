"""The recurrent joint learning unit of MDFT: what sound and picture know together, carried through time.

Source: Li et al., ACM Multimedia 2023, as its journal version summarises it: the two attentions and
S = MLP(LN(SA(C))) + SA(C) are theirs. Ours: sizes, what the cross-attention looks at, and how the knowledge is updated.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.nn.products import Linear


class Projected(NamedTuple):
    """Queries, keys and values of tokens, each [..., heads, head_width]."""

    query: Tensor
    key: Tensor
    value: Tensor


class SplitAttention(nn.Module):
    """Attention whose projections can be made before it is known which tokens meet; no bias but the output's.

    Args:
        width: of a token.
        heads, head_width: number and width of the heads.
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries, self.keys, self.values = (Linear(width, heads * head_width, bias=False) for _ in range(3))
        self.output = Linear(heads * head_width, width)

    def project(self, tokens: Tensor) -> Projected:
        """Queries, keys and values of [..., width] tokens."""
        shape = (*tokens.shape[:-1], self.heads, -1)
        return Projected(*(part(tokens).view(shape) for part in (self.queries, self.keys, self.values)))

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Mix values [..., K, heads, w] for queries [..., Q, heads, w]: tokens [..., Q, width]."""
        query, key, value = (part.transpose(-2, -3) for part in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.output(mixed.transpose(-2, -3).flatten(-2))
        return result


class JointRun(NamedTuple):
    """What the unit says after T steps.

    Attributes:
        audio: [B, width] context of the sound, S_a + C^a of the last step.
        visual: [B, width] likewise.
        knowledge: [T + 1, B, width] h_0 (zeros) to h_T.
    """

    audio: Tensor
    visual: Tensor
    knowledge: Tensor


class JointLearningUnit(nn.Module):
    """RJLU: at every step sound and picture look at the joint knowledge, and it is updated from what they see.

    C^a = CA(a; [a, h]) and C^v = CA(v; [v, h]); S = MLP(LN(SA([a, h, v]))) + SA([a, h, v]);
    u = S_h + ½ (C^a + C^v), g = σ(W u + b), h ← (1 - g) h + g tanh(u).

    Our reading: printed, the cross-attention asks of the knowledge alone, where one key would make it deaf to its query
    and to the knowledge of the same step, which does not exist yet; it sees the token itself and the knowledge of the
    step before. The update is ours.

    Args:
        width: of a token.
        heads, head_width: of both attentions.
        hidden: units of the MLP.
    """

    def __init__(self, width: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self.cross = SplitAttention(width, heads, head_width)
        self.self_attention = SplitAttention(width, heads, head_width)
        self.norm = nn.LayerNorm(width)
        self.expand = Linear(width, hidden)
        self.shrink = Linear(hidden, width)
        self.gate = Linear(width, width)

    def forward(self, audio: Tensor, visual: Tensor, time_steps: int) -> JointRun:
        """Run T steps from no knowledge.

        Args:
            audio: [D, B, width], D = T, or 1 where every step sees the same.
            visual: [D, B, width], likewise.
            time_steps: T.
        """
        # What does not wait for h is projected for all steps at once: [D, B, 1, heads, w] of each modality.
        seen = [
            (self.cross.project(x), self.self_attention.project(x)) for x in (audio.unsqueeze(2), visual.unsqueeze(2))
        ]
        h = torch.zeros_like(audio[0])
        knowledge = [h]
        for t in range(time_steps):
            last = t + 1 == time_steps
            (cross_a, self_a), (cross_v, self_v) = (
                tuple(Projected(*(p[t if len(p) > 1 else 0] for p in parts)) for parts in pair) for pair in seen
            )
            cross_h, self_h = self.cross.project(h.unsqueeze(1)), self.self_attention.project(h.unsqueeze(1))
            crossed = self._cross(cross_a, cross_v, cross_h)
            tokens = [self_a, self_h, self_v]
            asking = tokens if last else [self_h]  # the contexts are read at the end alone
            mixed = self.self_attention(
                *(
                    torch.cat([getattr(token, name) for token in chosen], 1)
                    for name, chosen in (("query", asking), ("key", tokens), ("value", tokens))
                )
            )
            reasoned = self.shrink(functional.gelu(self.expand(self.norm(mixed)))) + mixed
            u = reasoned[:, len(asking) // 2] + crossed.mean(1)
            g = torch.sigmoid(self.gate(u))
            h = torch.lerp(h, torch.tanh(u), g)
            knowledge.append(h)
        return JointRun(reasoned[:, 0] + crossed[:, 0], reasoned[:, 2] + crossed[:, 1], torch.stack(knowledge))

    def _cross(self, audio: Projected, visual: Projected, knowledge: Projected) -> Tensor:
        """C^a and C^v, [B, 2, width]."""
        query = torch.stack([audio.query, visual.query], 1)  # [B, 2, 1, heads, w]
        keys = torch.stack([torch.cat([x.key, knowledge.key], 1) for x in (audio, visual)], 1)  # [B, 2, 2, heads, w]
        values = torch.stack([torch.cat([x.value, knowledge.value], 1) for x in (audio, visual)], 1)
        result: Tensor = self.cross(query, keys, values).squeeze(2)
        return result
