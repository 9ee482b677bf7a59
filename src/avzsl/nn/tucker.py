"""Temporal-semantic Tucker fusion of transformer and spiking outputs (Eq. 10-13)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from avzsl.errors import SettingError
from avzsl.nn.products import linear


class TuckerFusion(nn.Module):
    """Bilinear fusion Y = U_k (G ×₁ (U_sᵀ R) ×₂ (U_tᵀ S)) with a core of rank × rank × rank.

    Our reading: the "rank constraint" of Fig. 3b is the multilinear rank, one number for all three modes. The other
    reading limits the rank of the core's slices, G[:, :, k] = Σ_r a_{r,k} b_{r,k}ᵀ (Ben-younes et al., MUTAN, ICCV
    2017); it costs 2 r rank² numbers against rank³, so it saves only for r < rank / 2.

    Our reading: Eq. 12 multiplies R by U_t and S by U_s; Eq. 11 and 13 pair them the other way round, and so does this.

    The components have an order that `keep` uses: only a leading part of r̃, s̃ and y takes part. Training on random
    leading parts (nested dropout; Rippel et al., ICML 2014) makes each of them a model in its own right.

    Args:
        semantic: size of R.
        temporal: size of S.
        outputs: size of Y.
        rank: n_s = n_t = n_k.
        slice_rank: rank of the core's slices; 0 for a free core.
    """

    def __init__(self, semantic: int, temporal: int, outputs: int, rank: int, slice_rank: int = 0) -> None:
        super().__init__()
        if rank < 1 or slice_rank < 0:
            raise SettingError(f"rank {rank} and slice_rank {slice_rank} must be at least 1 and 0")
        self.rank = rank
        self.slice_rank = slice_rank
        self.semantic_factor = nn.Parameter(torch.randn(semantic, rank) / math.sqrt(semantic))  # U_s
        self.temporal_factor = nn.Parameter(torch.randn(temporal, rank) / math.sqrt(temporal))  # U_t
        self.output_factor = nn.Parameter(torch.randn(outputs, rank) / math.sqrt(rank))  # U_k
        if slice_rank:
            scale = (rank * math.sqrt(slice_rank)) ** -0.5  # so that a slice starts as large as a free one
            self.semantic_slices = nn.Parameter(torch.randn(rank, slice_rank, rank) * scale)  # a [i, r, k]
            self.temporal_slices = nn.Parameter(torch.randn(rank, slice_rank, rank) * scale)  # b [j, r, k]
        else:
            self.free_core = nn.Parameter(torch.randn(rank, rank, rank) / rank)

    def core(self) -> Tensor:
        """G, [rank, rank, rank], whichever way it is stored."""
        if self.slice_rank:
            return torch.einsum("irk,jrk->ijk", self.semantic_slices, self.temporal_slices)
        return self.free_core

    def project_steps(self, steps: Tensor) -> Tensor:
        """s̃(1..T): spikes of single time steps [B, T, d_t] through U_t, [B, T, rank]."""
        return steps @ self.temporal_factor

    def forward(self, semantic: Tensor, temporal: Tensor, keep: int | Tensor | None = None) -> Tensor:
        """Fuse two outputs.

        Args:
            semantic: R, [B, d_s].
            temporal: S, [B, d_t].
            keep: how many leading components take part: one number for the batch (less work), or [B] int64 (one
                number for each row); None for all.

        Returns:
            Y, [B, outputs].
        """
        limit = keep if isinstance(keep, int) else self.rank
        r = linear(semantic, self.semantic_factor[:, :limit].T)
        s = linear(temporal, self.temporal_factor[:, :limit].T)
        if isinstance(keep, Tensor):
            part = (torch.arange(self.rank, device=r.device) < keep.unsqueeze(1)).to(r.dtype)
            y = part * self._contract(r * part, s * part, limit)
        else:
            y = self._contract(r, s, limit)
        return linear(y, self.output_factor[:, :limit])

    def _contract(self, r: Tensor, s: Tensor, limit: int) -> Tensor:
        """The leading part of G ×₁ r̃ ×₂ s̃, [B, limit]: two matrix products and a reshape."""
        if self.slice_rank:
            left = r @ self.semantic_slices[:limit, :, :limit].flatten(1)
            right = s @ self.temporal_slices[:limit, :, :limit].flatten(1)
            return (left * right).view(-1, self.slice_rank, limit).sum(1)
        rows = linear(r, self.free_core[:limit, :limit, :limit].flatten(1).T)  # G ×₁ r̃, [B, j k]
        return torch.bmm(s.unsqueeze(1), rows.view(-1, limit, limit)).squeeze(1)


def energy_rank(steps: Tensor, energy: float = 0.95) -> Tensor:
    """How many leading components a clip needs, judged by its own projected time steps.

    Beyond the paper, which names it as future work (Sec. IV-H). Our reading: of the singular values of s̃(1..T), count
    the fewest that hold `energy` of the sum of squares; as a fraction of all of them, that is the fraction of the
    components to keep.

    Args:
        steps: s̃(1..T), [B, T, R].
        energy: share of the energy to hold, in (0, 1].

    Returns:
        [B] int64 in 1..R. One singular value is the least, also for a clip without any spike: ⌈R / min(T, R)⌉.
    """
    rank = steps.shape[2]
    small = steps.detach().double()
    if small.shape[1] > rank:
        small = small.transpose(1, 2)
    # The squared singular values are the eigenvalues of the smaller Gram matrix, ascending.
    squares = torch.linalg.eigvalsh(small @ small.transpose(1, 2)).clamp(min=0).flip(1)
    held = squares.cumsum(1)
    # A rounding error must not cost one more component than the energy needs.
    short = held < energy * held[:, -1:] * (1 - 1e-9)
    total = squares.shape[1]
    needed = (short.sum(1) + 1).clamp(max=total)
    return torch.div(needed * rank + total - 1, total, rounding_mode="floor")
