"""Count what a method costs: parameters, and the operations of matrix products and convolutions, module by module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from avzsl.errors import SettingError
from avzsl.methods._base import EmbeddingMethod, Method
from avzsl.methods._parts import at_most
from avzsl.nn.convolution import as_library_call
from avzsl.types import Batch, Clips, Dimensions

# The batch of the rule that reproduces the AVCA row of the STFT paper's Table X.
TABLE_PAIRS = 256
REST = "outside modules"
# Layers and weights of a method; the largest preset has a few hundred.
_PARTS = 20_000


@dataclass(frozen=True)
class ModuleCost:
    """Cost of one top-level part of a method.

    Attributes:
        name: attribute of the method; `REST` for work and parameters that belong to no part.
        parameters: trainable numbers.
        training: FLOPs of the training forward pass over the whole batch, 2 for each multiply-add.
        inference: FLOPs for one clip.
    """

    name: str
    parameters: int
    training: int
    inference: int


@dataclass(frozen=True)
class MethodProfile:
    """What a method costs.

    Attributes:
        method: its registered name.
        pairs: pairs of a clip and a negative in the training batch.
        segments: segments of each clip.
        modules: parts, in the order of the method's attributes.
        rates: firing rates of spiking networks on the batch, by modality.
    """

    method: str
    pairs: int
    segments: int
    modules: tuple[ModuleCost, ...]
    rates: dict[str, float]

    @property
    def parameters(self) -> int:
        """Trainable numbers in all."""
        return sum(module.parameters for module in self.modules)

    @property
    def training(self) -> int:
        """FLOPs of one training forward pass: the rule of the paper's Table X at `pairs` = 256."""
        return sum(module.training for module in self.modules)

    @property
    def inference(self) -> int:
        """FLOPs for one clip."""
        return sum(module.inference for module in self.modules)


def random_batch(
    dimensions: Dimensions, pairs: int = TABLE_PAIRS, segments: int = 1, classes: int = 51, seed: int = 0
) -> Batch:
    """A batch of noise with the sizes of a benchmark (51 classes: UCF)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int | None) -> Tensor | None:
        return None if size is None else torch.randn(pairs, segments, size, generator=generator)

    labels = torch.randint(classes, (pairs,), generator=generator)
    shift = torch.randint(1, max(classes, 2), (pairs,), generator=generator)
    words = torch.nn.functional.normalize(torch.randn(classes, dimensions.text, generator=generator), dim=1)
    return Batch(
        Clips(draw(dimensions.audio), draw(dimensions.visual)),
        labels,
        Clips(draw(dimensions.audio), draw(dimensions.visual)),
        (labels + shift) % classes,
        words,
    )


def count_parameters(kind: type[Method], config: Any, dimensions: Dimensions) -> int:
    """Numbers a method of these sizes holds as parameters, without taking memory for them.

    Raises:
        AvzslError: the method cannot be built with these sizes.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), at_most(_PARTS):
            return sum(parameter.numel() for parameter in kind(config, dimensions).parameters())
    except (TypeError, RuntimeError, OverflowError) as error:  # torch raises all of them for a size beyond its numbers
        if "overflow" not in str(error).lower():
            raise
        raise SettingError(f"a size in the settings of {kind.__name__} is larger than any tensor can be") from error


def profile(method: Method, batch: Batch | None = None) -> MethodProfile:
    """Profile a method on a batch.

    Two numbers are counted. *Training*: the forward pass of one training step, positives and negatives, over the whole
    batch; at 256 pairs this is the rule under which AVCA costs what Table X prints. *Inference*: what one more clip
    costs; for an embedding method the class embeddings are made beforehand and do not count, for others they do.
    Both count matrix products, convolutions and attention at 2 FLOPs for each multiply-add and nothing else: no
    normalisation, no activation, no neuron dynamics.

    Args:
        method: its normalisation statistics and its mode are left as they were.
        batch: None for 256 random pairs with one segment.
    """
    if batch is None:
        batch = random_batch(method.dimensions)
    clips = batch.clips
    one = clips.rows(slice(0, 1))
    state = {name: value.clone() for name, value in method.state_dict().items()}
    random_state = torch.get_rng_state()
    was_training = method.training
    try:
        with torch.no_grad():
            method.train()
            training, terms = count_flops(method, lambda: method.fit_step(batch))
            method.eval()
            inference, _ = count_flops(method, lambda: _infer(method, one, batch.classes))
    finally:
        method.load_state_dict(state)
        method.train(was_training)
        torch.set_rng_state(random_state)
    names = [*(name for name, _ in method.named_children()), REST]
    parameters = _parameters(method)
    modules = tuple(
        ModuleCost(name, parameters.get(name, 0), training.get(name, 0), inference.get(name, 0)) for name in names
    )
    features = clips.visual if clips.audio is None else clips.audio
    segments = 0 if features is None else features.shape[1]
    rates = {name.removeprefix("rate_"): float(value) for name, value in terms.items() if name.startswith("rate_")}
    return MethodProfile(method.name, len(clips), segments, modules, rates)


def count_flops(root: nn.Module, run: Callable[[], Any]) -> tuple[dict[str, int], Any]:
    """FLOPs of `run()` by top-level child of `root`, and what it returned.

    Work inside the `forward` of a module (however deep) counts for the child that holds it, the rest for `REST`.
    """
    counts: dict[str, int] = {}
    # torch counts the fused attention of GPUs and forgets that of CPUs.
    forgotten = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    counter = FlopCounterMode(display=False, custom_mapping=forgotten)
    with as_library_call(), counter, _watching(root, counter, counts):
        result = run()
    counts[REST] = counter.get_total_flops() - sum(counts.values())
    return counts, result


@contextmanager
def _watching(root: nn.Module, counter: FlopCounterMode, counts: dict[str, int]) -> Iterator[None]:
    """Hooks on all modules; only the outermost one that is running counts, so nothing counts twice."""
    running: list[tuple[str, int]] = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            running.append((name, counter.get_total_flops()))

        return hook

    def leave(*_: Any) -> None:
        name, before = running.pop()
        if not running:
            counts[name] = counts.get(name, 0) + counter.get_total_flops() - before

    handles = []
    for path, module in root.named_modules():
        if path:
            handles.append(module.register_forward_pre_hook(enter(path.split(".")[0])))
            handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Scores and mixing of [B, heads, L, width] shapes."""
    return 2 * query[0] * query[1] * query[2] * key[2] * (query[3] + value[3])


def _infer(method: Method, clips: Clips, classes: Tensor) -> Tensor:
    if isinstance(method, EmbeddingMethod):
        return method.embed_clips(clips)
    return method.class_scores(clips, classes)


def _parameters(method: nn.Module) -> dict[str, int]:
    counts: dict[str, int] = {}
    for path, parameter in method.named_parameters():
        name = path.split(".")[0] if "." in path else REST
        counts[name] = counts.get(name, 0) + parameter.numel()
    return counts
