"""What a built method consists of and how data flow through it, read from the model while it runs.

Nothing here knows any method: parts are found by running one training step with hooks on all modules, and the arrows
by walking the gradient graph from what goes into a part back to whatever made it. So another setting that changes the
model changes what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from avzsl.errors import SettingError
from avzsl.methods._base import Method
from avzsl.methods._in_words import describe, shape_of, tensors_in
from avzsl.methods._profile import _attention_flops, _infer, count_flops, profile, random_batch
from avzsl.types import Batch, Clips

_PAIRS = 4


@dataclass
class Part:
    """One box: a part of the model, or one of several visits to a part that is used more than once.

    Attributes:
        key: unique.
        path: of the module; empty for an input or a loss term.
        kind: `"input"`, `"module"` or `"loss"`.
        type: class of the module.
        visit: 0 for the first use; later uses share their parameters with it.
        inside: what it is made of, in the order of its layers.
        shape: of what it gives for one clip, without the batch axis.
        parameters: trainable numbers (0 for a later visit).
        inference: FLOPs for one clip, 2 for each multiply-add; classes are embedded beforehand.
        sources: keys of the parts it takes from.
    """

    key: str
    path: str
    kind: str
    type: str = ""
    visit: int = 0
    inside: tuple[str, ...] = ()
    shape: str = ""
    parameters: int = 0
    inference: int = 0
    sources: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Architecture:
    """A method as a graph.

    Attributes:
        method: registered name.
        title: as people write it.
        parts: every box, inputs first, in the order of the computation.
        parameters: of the whole model, as `profile` counts them.
        training: FLOPs of a training forward pass of `pairs` pairs, likewise.
        inference: FLOPs for one clip, likewise.
        pairs: pairs of that pass.
        outside: FLOPs for one clip outside all parts.
    """

    method: str
    title: str
    parts: tuple[Part, ...]
    parameters: int
    training: int
    inference: int
    pairs: int
    outside: int


def read_architecture(method: Method, batch: Batch | None = None) -> Architecture:
    """Run a method once and write down what it did.

    Args:
        method: its weights, statistics and mode are left as they were.
        batch: sizes of the clips; None = one random segment per clip.

    Raises:
        SettingError: the method does not learn by gradient steps, so there is nothing to follow.
    """
    batch = random_batch(method.dimensions) if batch is None else batch
    few = Batch(
        batch.clips.rows(slice(0, _PAIRS)), batch.labels[:_PAIRS], batch.negatives.rows(slice(0, _PAIRS)),
        batch.negative_labels[:_PAIRS], batch.classes,
    )  # fmt: skip
    state = {name: value.clone() for name, value in method.state_dict().items()}
    random_state, was_training = torch.get_rng_state(), method.training
    try:
        with torch.enable_grad():
            method.train()
            tracer = _trace(method, few)
            method.eval()
            _count(method, tracer.parts, tracer.calls, few.clips.rows(slice(0, 1)), few.classes)
    finally:
        method.load_state_dict(state)
        method.train(was_training)
        torch.set_rng_state(random_state)
    found, parts = profile(method, batch), _in_order(tracer.parts)
    counted = sum(part.inference for part in parts)
    return Architecture(
        method.name, method.title, tuple(parts), found.parameters, found.training, found.inference, found.pairs,
        found.inference - counted,
    )  # fmt: skip


def _in_order(parts: Mapping[str, Part]) -> list[Part]:
    """Every part behind those that it takes from."""
    found: dict[str, Part] = {}

    def add(key: str) -> None:
        if key not in found:
            for source in parts[key].sources:
                add(source)
            found[key] = parts[key]

    for key in parts:
        add(key)
    return list(found.values())


def part_of(root: nn.Module, path: str) -> str:
    """The box that a module belongs to: a child of the method, or an entry of a child that is a dictionary."""
    head, _, rest = path.partition(".")
    if isinstance(getattr(root, head), nn.ModuleDict) and rest:
        return f"{head}.{rest.partition('.')[0]}"
    return head


def _trace(method: Method, batch: Batch) -> _Tracer:
    """Boxes and arrows of one training step."""
    clips, classes = _watched(batch.clips), batch.classes.clone().requires_grad_()
    negatives = _watched(batch.negatives)
    tracer = _Tracer(method)
    for name, tensors in (
        ("audio", (clips.audio, negatives.audio)),
        ("visual", (clips.visual, negatives.visual)),
        ("text", (classes,)),
    ):
        there = [tensor for tensor in tensors if tensor is not None]
        if there:
            tracer.start(name, there)
    with tracer.watching():
        terms = method.fit_step(Batch(clips, batch.labels, negatives, batch.negative_labels, classes))
    for name, value in terms.items():
        if name != "loss" and value.grad_fn is not None:
            tracer.end(name, value)
    if not any(part.kind == "module" for part in tracer.parts.values()):
        raise SettingError(f"{method.name} does not learn by gradient steps, so there is no network to draw")
    return tracer


def _watched(clips: Clips) -> Clips:
    values = {f.name: getattr(clips, f.name) for f in fields(clips)}
    return Clips(
        **{n: v.clone().requires_grad_() if v is not None and v.is_floating_point() else v for n, v in values.items()}
    )


class _Tracer:
    """Collects parts while a method runs."""

    def __init__(self, root: Method) -> None:
        self.root = root
        self.parts: dict[str, Part] = {}
        self.calls: dict[str, list[str]] = {}  # module -> key of its part, for each of its uses in order
        self._owner: dict[Any, str] = {}  # node of the gradient graph -> key of the part that made it
        self._visit: dict[str, int] = {}
        self._running: list[str] = []

    def start(self, name: str, tensors: list[Tensor]) -> None:
        """An input of the model."""
        width = tensors[0].shape[-1]
        self.parts[name] = Part(name, "", "input", shape=str(width))
        for tensor in tensors:
            self._owner[_node(tensor)] = name

    def end(self, name: str, value: Tensor) -> None:
        """A loss term: where it comes from."""
        sources = self._sources([value])
        self.parts[f"loss {name}"] = Part(f"loss {name}", "", "loss", type=name, sources=sources)

    def watching(self) -> AbstractContextManager[None]:
        """Hooks on all modules; the outermost one that is running is a part at work."""
        return _hooked(self.root, self._enter, self._leave)

    def _enter(self, path: str) -> Any:
        def hook(module: nn.Module, given: Any, named: Any) -> None:
            self._running.append(path)
            if len(self._running) == 1:
                self._begin(part_of(self.root, path), list(tensors_in([given, named])))

        return hook

    def _leave(self, path: str) -> Any:
        def hook(module: nn.Module, given: Any, result: Any) -> None:
            self._running.pop()
            if not self._running:
                name = part_of(self.root, path)
                key = self._key(name)
                for tensor in tensors_in(result):
                    node = _node(tensor)
                    # A layer that hands its input on has made nothing.
                    if node is not None:
                        self._owner.setdefault(node, key)
                self.parts[key].shape = shape_of(result) or self.parts[key].shape

        return hook

    def _begin(self, name: str, given: list[Tensor]) -> None:
        sources = [s for s in self._sources(given) if not self._is(s, name)]
        if name in self._visit and any(self._key(name) in self._above(source) for source in sources):
            self._visit[name] += 1  # what it gave comes back through other parts
        self._visit.setdefault(name, 0)
        key = self._key(name)
        if key not in self.parts:
            module = self.root.get_submodule(name)
            visit = self._visit[name]
            count = 0 if visit else sum(p.numel() for p in module.parameters() if p.requires_grad)
            self.parts[key] = Part(key, name, "module", type(module).__name__, visit, describe(module), "", count)
        self.calls.setdefault(name, []).append(key)
        part = self.parts[key]
        part.sources += [s for s in sources if s not in part.sources]

    def _key(self, name: str) -> str:
        visit = self._visit[name]
        return f"{name} ({visit + 1})" if visit else name

    def _is(self, key: str, name: str) -> bool:
        return self.parts[key].path == name and self.parts[key].visit == self._visit.get(name, 0)

    def _above(self, key: str) -> set[str]:
        """A part and everything that it rests on."""
        found, waiting = set(), [key]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting += self.parts[current].sources
        return found

    def _sources(self, tensors: list[Tensor]) -> list[str]:
        """Parts that made what these tensors hold, nearest ones only."""
        found: dict[str, None] = {}
        seen: set[Any] = set()
        waiting = [node for node in map(_node, tensors) if node is not None]
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in self._owner:
                found[self._owner[node]] = None
            else:
                waiting += [n for n, _ in getattr(node, "next_functions", ()) if n is not None]
        return sorted(found, key=list(self.parts).index)


def _node(tensor: Tensor) -> Any:
    """The tensor's place in the gradient graph; for a leaf, the place where its gradient is collected."""
    if tensor.grad_fn is not None:
        return tensor.grad_fn
    return tensor.view_as(tensor).grad_fn.next_functions[0][0] if tensor.requires_grad else None  # type: ignore[union-attr]


def _count(
    method: Method, parts: Mapping[str, Part], calls: Mapping[str, Sequence[str]], clips: Clips, classes: Tensor
) -> None:
    """Operations of one clip in each part.

    The n-th use of a module for one clip belongs to the same visit as its n-th use in training, where the clips of a
    batch and their negatives go through together or one after the other.
    """
    forgotten = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    running: list[int] = []
    used: dict[str, int] = {}

    def run() -> None:
        with FlopCounterMode(display=False, custom_mapping=forgotten) as counter:

            def enter(*_: Any) -> None:
                running.append(counter.get_total_flops())

            def leave(path: str) -> Any:
                def hook(*_: Any) -> None:
                    before = running.pop()
                    if not running:
                        name = part_of(method, path)
                        place = used[name] = used.get(name, -1) + 1
                        if place < len(calls.get(name, ())):
                            parts[calls[name][place]].inference += counter.get_total_flops() - before

                return hook

            with _hooked(method, lambda _: enter, leave):
                _infer(method, clips, classes)

    with torch.no_grad():
        count_flops(method, run)  # sees to it that every operation can be counted


@contextmanager
def _hooked(root: nn.Module, enter: Callable[[str], Any], leave: Callable[[str], Any]) -> Iterator[None]:
    """Hooks on all modules below the root."""
    handles = []
    for path, module in root.named_modules():
        if path and not isinstance(module, nn.ModuleDict):
            handles.append(module.register_forward_pre_hook(enter(path), with_kwargs=True))
            handles.append(module.register_forward_hook(leave(path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
