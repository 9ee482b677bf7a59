"""Latent Knowledge Combiner: knowledge slots that both modalities read and write (Eq. 1-3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from avzsl.nn.products import Linear, linear
from avzsl.types import MODALITIES


class LatentCombiner(nn.Module):
    """Reads features through n slots and writes what was read back into them, segment by segment.

    With K_i^0 the learned slots [h, h], for each segment t and modality m with features A [h]:

        Eq. 1   O_m^t = Σ_i σ(K_i^{t-1} A_m^t) ⊙ A_m^t
        Eq. 2   P_m^t = ReLU(W_m O_m^t + b_m)
        Eq. 3   K_i^t = α U^t + (1 - α) K_i^{t-1},   U^t = Σ_m P_m^t (O_m^t)ᵀ / h

    Our reading: the superscript t counts segments; every slot receives the same U^t; U^t is divided by h so that its
    size does not grow with h; α is a logistic of a learned number. A clip with one segment has no later segment that
    could read the update, so it is read twice, with K^0 and with K^1, and the second reading counts. A padded segment
    updates nothing.

    U^t is a sum of outer products, so K^t A is evaluated from (1 - α)^t K^0 A and dot products with earlier readings;
    no memory of [B, h, h] exists. That costs O(L² h) for each clip.

    Args:
        width: h.
        slots: n.
        modalities: which of `"audio"` and `"visual"` will come.
    """

    def __init__(self, width: int, slots: int, modalities: tuple[str, ...] = MODALITIES[:2]) -> None:
        super().__init__()
        bound = width**-0.5  # as a linear layer of this width starts
        self.slots = nn.Parameter(torch.empty(slots, width, width).uniform_(-bound, bound))
        self.gates = nn.ModuleDict({name: Linear(width, width) for name in modalities})
        self.mixing = nn.Parameter(torch.zeros(()))  # α = 0.5 at the start

    @property
    def alpha(self) -> Tensor:
        """α of Eq. 3, in (0, 1)."""
        return torch.sigmoid(self.mixing)

    def forward(self, features: Mapping[str, Tensor], mask: Tensor | None = None) -> dict[str, Tensor]:
        """Combine features with the latent knowledge.

        Args:
            features: name of modality to [B, L, h], on one common timeline; zeros at padded segments.
            mask: [B, L] bool, True for a real segment; None when all are real.

        Returns:
            O_m of every given modality, [B, L, h], zero at padded segments.
        """
        names = tuple(features)
        x = torch.stack([features[name] for name in names], 2)  # [B, L, M, h]
        reading = linear(x, self.slots.flatten(0, 1))  # K_i^0 A, every slot at once
        reading = reading.view(*x.shape[:3], len(self.slots), -1)  # [B, L, M, n, h]
        if x.shape[1] == 1:
            combined = self._read_twice(x, reading, names)
        else:
            combined = self._over_segments(x, reading.unbind(1), mask, names)
            if mask is not None and (single := mask.sum(1) == 1).any():
                place = (single.nonzero().squeeze(1), mask[single].int().argmax(1))
                again = self._read_twice(x[place].unsqueeze(1), reading[place].unsqueeze(1), names)
                combined = combined.index_put(place, again.squeeze(1))
        return dict(zip(names, combined.unbind(2), strict=True))

    def _read_twice(self, x: Tensor, reading: Tensor, names: tuple[str, ...]) -> Tensor:
        """One segment as two equal ones: the second is read with the updated knowledge."""
        once = reading.squeeze(1)  # not expanded: its gradient would be a table of zeros for each of the two
        return self._over_segments(x.expand(-1, 2, -1, -1), (once, once), None, names)[:, 1:]

    def _over_segments(
        self, x: Tensor, readings: tuple[Tensor, ...], mask: Tensor | None, names: tuple[str, ...]
    ) -> Tensor:
        """O [B, L, M, h] of features [B, L, M, h] and their L readings K^0 A [B, M, n, h]."""
        length, width = x.shape[1], x.shape[3]
        writes = x.new_ones(1, length) if mask is None else mask.to(x.dtype)
        after = writes.cumsum(1)  # updates made once segment t is done, [B or 1, L]
        before = after - writes
        alpha = self.alpha
        kept = (1 - alpha) ** before  # share of K^0 in K^{t-1}
        pending: Tensor | None = None  # what the updates so far add to the reading of segment t and of later ones
        combined = []
        for t in range(length):
            gate = readings[t]  # the first segment reads the first knowledge alone
            if pending is not None:
                gate = torch.addcmul(pending[:, 0].unsqueeze(2), kept[:, t, None, None, None], gate)
            o = torch.sigmoid(gate).sum(2) * x[:, t]  # Eq. 1, [B, M, h]
            combined.append(o)
            if t + 1 == length:
                break
            p = torch.relu(torch.stack([self.gates[name](o[:, m]) for m, name in enumerate(names)], 1))  # Eq. 2
            # Eq. 3: the share of U^t in the knowledge of each later segment, and U^t A from dot products
            share = alpha * (1 - alpha) ** (before[:, t + 1 :] - after[:, t : t + 1]) * writes[:, t : t + 1] / width
            later = x[:, t + 1 :]
            dots = (later.flatten(1, 2) @ o.transpose(1, 2)).view(*later.shape[:3], -1)  # [B, L - t - 1, M, M]
            added = ((share[:, :, None, None] * dots).flatten(1, 2) @ p).view(later.shape)
            pending = added if pending is None else pending[:, 1:] + added
        return torch.stack(combined, 1)


def align(
    audio: Tensor, visual: Tensor, audio_mask: Tensor | None, visual_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Put two modalities of the same clips on one timeline, that of the longer one.

    Within a clip whose modalities have n_a and n_v real segments, segment t of the common n = max(n_a, n_v) takes the
    source segment that covers the middle of its time, floor((t + ½) n_m / n): the nearest in time.

    Args:
        audio: [B, L_a, h].
        visual: [B, L_v, h].
        audio_mask: [B, L_a] bool, at least one real segment in each row; None when all are real.
        visual_mask: [B, L_v] bool, likewise.

    Returns:
        audio [B, L, h], visual [B, L, h], zero where padded, and their common mask [B, L] (None when all are real).
    """
    if audio_mask is None and visual_mask is None and audio.shape[1] == visual.shape[1]:
        return audio, visual, None
    counts = []
    for values, mask in ((audio, audio_mask), (visual, visual_mask)):
        full = torch.full((len(values),), values.shape[1], device=values.device)
        counts.append(full if mask is None else mask.sum(1))
    common = torch.maximum(*counts)  # [B]
    length = max(audio.shape[1], visual.shape[1])
    step = torch.arange(length, device=audio.device)
    shared = step < common.unsqueeze(1)
    aligned = []
    for values, mask, count in ((audio, audio_mask, counts[0]), (visual, visual_mask, counts[1])):
        # floor((2 t + 1) n_m / (2 n)) in integers, so that no rounding can pick a neighbour
        rank = (2 * step + 1) * count.unsqueeze(1) // (2 * common.unsqueeze(1))
        rank = rank.clamp(max=values.shape[1] - 1)
        if mask is not None:
            order = torch.argsort(~mask, dim=1, stable=True)  # real segments first, in time
            rank = order.gather(1, rank)
        picked = values.gather(1, rank.unsqueeze(2).expand(-1, -1, values.shape[2]))
        aligned.append(picked * shared.unsqueeze(2))
    if audio_mask is None and visual_mask is None:
        return aligned[0], aligned[1], None
    return aligned[0], aligned[1], shared
