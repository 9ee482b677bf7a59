"""Whether PyTorch runs its operations at once on plain numbers, with nobody between."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def plainly(*tensors: Tensor) -> bool:
    """Whether code that PyTorch knows nothing of may take these tensors' numbers.

    Not while something is traced or exported, under the transforms of `torch.func`, in forward-mode differentiation,
    under a mode that listens to each operation, and not for tensors that only stand for others: all of these need
    operations that PyTorch can follow.
    """
    if any(type(tensor) not in (Tensor, nn.Parameter) for tensor in tensors):
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    # PyTorch asks itself the same three questions and has no public names for them
    listening = torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack()
    return not listening and forward_ad._current_level < 0
