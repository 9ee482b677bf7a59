"""What every method promises, as checks that anyone can run on a method: the package's own tests and `check-method`.

The checks use a small linear world: features are a fixed map of the class's text vector plus noise, or the vector
itself plus noise where a method asks for features in the space of the texts. A method that cannot tell its own training
classes apart there has a fault.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from avzsl.config import fill, load_preset, preset_names, reference_values
from avzsl.errors import AvzslError
from avzsl.methods._base import EmbeddingMethod, Method
from avzsl.progress import track
from avzsl.types import Batch, Clips, Dimensions

DIMENSIONS = Dimensions(audio=24, visual=20, text=12)
CLASSES = 6
# Segments of audio and of visual features; not equal, because timelines of the field are not.
SEGMENTS = {"averaged": (1, 1), "temporal": (5, 3)}


class BrokenPromiseError(AvzslError):
    """A method does not do what the contract asks."""


@dataclass(frozen=True)
class Case:
    """A method with one choice of settings and one kind of input.

    Attributes:
        kind: the class.
        mode: `"clean"` or `"reference"`; decides the quirks among its settings.
        features: `"averaged"` or `"temporal"`.
    """

    kind: type[Method]
    mode: str = "clean"
    features: str = "averaged"

    def __str__(self) -> str:
        return f"{self.mode}, {self.features}"

    def make(self, seed: int = 0) -> Method:
        """A new method with weights of this seed, and the settings of its demo preset where it has one."""
        settings: dict[str, Any] = {}
        name = getattr(self.kind, "name", "")  # it may not be registered
        if "demo" in preset_names(name):
            settings = load_preset(name, "demo").get("method", {})
        if self.mode == "reference":
            settings = reference_values(self.kind.Config) | settings
        torch.manual_seed(seed)
        return self.kind(fill(self.kind.Config, settings, "[method]"), self.dimensions)

    @property
    def dimensions(self) -> Dimensions:
        """The sizes it is checked with."""
        return self.kind.checked_with or DIMENSIONS

    def classes(self) -> Tensor:
        """Text vectors of the linear world."""
        return toy_classes(self.dimensions.text)

    def clips(self, labels: Tensor, seed: int) -> Clips:
        """Clips of the linear world."""
        return toy_clips(labels, SEGMENTS[self.features], seed, self.dimensions)

    def batch(self, seed: int = 0, pairs: int = 24) -> Batch:
        """Pairs of the linear world."""
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(CLASSES, (pairs,), generator=generator)
        others = (labels + torch.randint(1, CLASSES, (pairs,), generator=generator)) % CLASSES
        return Batch(self.clips(labels, seed + 1), labels, self.clips(others, seed + 2), others, self.classes())

    def train(self, method: Method, steps: int, rate: float = 3e-3) -> list[Mapping[str, float]]:
        """Train as the loop does, end of epoch included; the terms of every batch."""
        labels = torch.arange(CLASSES).repeat(6)
        clips = self.clips(labels, 11)
        torch.manual_seed(1)
        if method.solve(clips, labels, self.classes()):
            return []
        method.train()
        optimiser = torch.optim.Adam(method.parameter_groups(), rate, fused=True)
        log: list[Mapping[str, float]] = []
        for step in range(steps):
            terms: dict[str, float] = {}
            for found in method.updates(self.batch(3 * step)):
                optimiser.zero_grad()
                found["loss"].backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                terms |= {name: value.item() for name, value in found.items()}
            log.append(terms)
        method.end_of_epoch(clips, labels, self.classes())
        return log

    def trained(self, steps: int = 3, seed: int = 0) -> Method:
        """A method after a little training, in evaluation mode."""
        method = self.make(seed)
        self.train(method, steps)
        return method.eval()


@dataclass(frozen=True)
class Check:
    """One promise.

    Attributes:
        name: short, with underscores.
        promise: a sentence.
        run: raises `BrokenPromiseError`; returns why it does not apply, or None.
    """

    name: str
    promise: str
    run: Callable[[Case], str | None]


@dataclass(frozen=True)
class Outcome:
    """What became of one promise of a method.

    Attributes:
        check: the promise.
        state: `"kept"`, `"broken"` or `"not applicable"`.
        reason: why it is not kept, and in which case; empty for a kept one.
    """

    check: Check
    state: Literal["kept", "broken", "not applicable"]
    reason: str = ""


def check_method(kind: type[Method]) -> tuple[Outcome, ...]:
    """Ask every promise of a method, in every case: for `avzsl check-method` and for a test of your own.

        assert [outcome for outcome in check_method(Mine) if outcome.state == "broken"] == []

    Whatever the method raises counts as a broken promise; nothing is raised. Torch's random stream stays as it is.
    """
    try:
        found = cases(kind) or (Case(kind),)
    except Exception:  # without settings to look at; every check will say so in its own words
        found = (Case(kind),)
    return tuple(_ask(check, found) for check in track(CHECKS, getattr(kind, "name", kind.__name__)))


def _ask(check: Check, found: tuple[Case, ...]) -> Outcome:
    reasons = []
    for case in found:
        try:
            with torch.random.fork_rng(devices=[]):
                reasons.append(check.run(case))
        except BrokenPromiseError as error:
            return Outcome(check, "broken", f"{error} ({case})")
        except Exception as error:
            words = " ".join(str(error).split())
            return Outcome(check, "broken", f"{type(error).__name__}{': ' if words else ''}{words} ({case})")
    return Outcome(check, "not applicable", str(reasons[0])) if all(reasons) else Outcome(check, "kept")


def cases(kind: type[Method]) -> tuple[Case, ...]:
    """Every case of a method: both modes where it has quirks, each kind of input that it takes."""
    modes = ("clean", "reference") if reference_values(kind.Config) else ("clean",)
    return tuple(Case(kind, mode, features) for mode in modes for features in SEGMENTS if features in kind.inputs)


def toy_classes(width: int = DIMENSIONS.text) -> Tensor:
    """Text vectors [6, width] of length 1."""
    generator = torch.Generator().manual_seed(5)
    return torch.nn.functional.normalize(torch.randn(CLASSES, width, generator=generator), dim=1)


def toy_clips(
    labels: Tensor, lengths: tuple[int, int] = (1, 1), seed: int = 0, dimensions: Dimensions = DIMENSIONS
) -> Clips:
    """Clips of the linear world, ragged where there are segments; features as wide as a text lie in its space."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.Generator().manual_seed(7)
    texts = toy_classes(dimensions.text)[labels]
    parts: list[Tensor] = []
    masks: list[Tensor | None] = []
    for size, length in zip((dimensions.audio, dimensions.visual), lengths, strict=True):
        if size is None:
            raise BrokenPromiseError("'checked_with' needs sizes of sound and of pictures")
        drawn = torch.randn(dimensions.text, size, generator=maps)
        signal = texts if size == dimensions.text else texts @ drawn
        noise = torch.randn(len(labels), length, size, generator=generator)
        parts.append(signal.unsqueeze(1) + 0.2 * noise)
        real = torch.randint(1, length + 1, (len(labels), 1), generator=generator)
        masks.append(None if length == 1 else torch.arange(length) < real)
    return Clips(parts[0], parts[1], masks[0], masks[1])


def _require(kept: bool | Tensor, what: str) -> None:
    if not kept:
        raise BrokenPromiseError(what)


def _scores(method: Method, clips: Clips, classes: Tensor) -> Tensor:
    with torch.inference_mode():
        return method.class_scores(clips, classes)


def _says_what_it_is(case: Case) -> None:
    kind = case.kind
    for field in ("title", "venue", "citation"):
        value = getattr(kind, field, None)
        _require(isinstance(value, str) and value != "", f"class attribute '{field}' must be a text")
    _require(isinstance(getattr(kind, "year", None), int) and 1900 < kind.year < 2100, "'year' must be a year")
    _require(kind.inputs in ("averaged", "temporal", "averaged or temporal"), f"'inputs' is {kind.inputs!r}")
    frozen = dataclasses.is_dataclass(kind.Config) and kind.Config.__dataclass_params__.frozen  # type: ignore[attr-defined]
    _require(frozen, "'Config' must be a frozen dataclass")
    _require(bool(kind.__doc__), "the class needs a docstring")
    try:
        kind.Config()
    except TypeError as error:
        raise BrokenPromiseError(f"every setting needs a default: {error}") from error


def _trained(method: Method) -> set[int]:
    """Ids of the parameters that the optimiser gets."""
    return {id(parameter) for group in method.parameter_groups() for parameter in group["params"]}


def _finite_scalars(case: Case) -> None:
    method = case.make().train()
    some = bool(_trained(method))
    for terms in method.updates(case.batch()):
        leads = "loss" in terms and (terms["loss"].requires_grad or not some)
        _require(leads, "'loss' is missing or leads to no weights")
        for name, value in terms.items():
            _require(value.dim() == 0 and bool(value.isfinite()), f"term '{name}' is not one finite number")


def _gradients_everywhere(case: Case) -> str | None:
    method = case.make().train()
    trained = _trained(method)
    if not trained:
        return "nothing is trained by gradients"
    reached: dict[str, float] = {}
    for seed in range(2):
        for terms in method.updates(case.batch(seed)):
            method.zero_grad(set_to_none=True)
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            for name, parameter in method.named_parameters():
                if parameter.grad is not None:
                    _require(bool(parameter.grad.isfinite().all()), f"the gradient of '{name}' is not finite")
                    reached[name] = max(reached.get(name, 0.0), float(parameter.grad.abs().max()))
    for name, parameter in method.named_parameters():
        if id(parameter) not in trained:
            continue
        _require(name in reached, f"no gradient reaches '{name}'")
        # What precedes a batch norm or a softmax as a constant cancels there.
        if not name.endswith("bias"):
            _require(reached[name] > 1e-9, f"the gradient of '{name}' is zero")
    return None


def _same_seed_same_numbers(case: Case) -> None:
    runs = []
    for _ in range(2):
        method = case.make()
        runs.append((case.train(method, 3), method.state_dict()))
    _require(runs[0][0] == runs[1][0], "the same seed gave other losses")
    for name, value in runs[0][1].items():
        _require(torch.equal(value, runs[1][1][name]), f"the same seed gave another '{name}'")
    other = case.make(seed=1)
    if runs[0][0] and any(bool(p.abs().sum() > 0) for p in other.parameters()):
        _require(case.train(other, 1)[0] != runs[0][0][0], "another seed gave the same numbers")


def _split_and_order_do_not_matter(case: Case) -> None:
    method = case.trained()
    clips, classes = case.clips(torch.arange(CLASSES), 9), case.classes()
    whole = _scores(method, clips, classes)
    _require(whole.shape == (CLASSES, CLASSES), f"scores are {list(whole.shape)} instead of [clips, classes]")
    _require(bool(whole.std() > 0), "all scores are the same number")
    parts = torch.cat([_scores(method, clips.rows(torch.tensor([i])), classes) for i in range(CLASSES)])
    _near(parts, whole, "clips scored one by one get other scores")
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    _near(_scores(method, clips, classes[order]), whole[:, order], "classes in another order get other scores")
    if not case.kind.candidates_matter:
        _near(_scores(method, clips, classes[:2]), whole[:, :2], "fewer candidate classes give other scores")


def _near(found: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-4) -> None:
    # Relative to the spread of the scores: some methods count in hundreds.
    apart = float((found - wanted).abs().max())
    _require(apart <= tolerance * max(1.0, float(wanted.abs().max())), f"{what} (by {apart:.2g})")


def _scoring_leaves_no_trace(case: Case) -> None:
    method = case.trained(2)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    clips, classes = case.clips(torch.arange(CLASSES), 0), case.classes()
    copies = [part.clone() for part in (clips.audio, clips.visual) if part is not None]
    random_state = torch.get_rng_state()
    first, second = _scores(method, clips, classes), _scores(method, clips, classes)
    with torch.inference_mode():
        modes, once = method.mode_scores(clips, classes), method.scorer(classes)(clips)
    _require(torch.equal(first, second), "the second call gave other scores")
    _require(torch.equal(modes["both"], first), "'both' of mode_scores differs from class_scores")
    _require(set(once) == set(modes), "scorer and mode_scores have other outputs")
    _require(all(torch.equal(once[n], modes[n]) for n in modes), "scorer differs from mode_scores")
    _require(torch.equal(torch.get_rng_state(), random_state), "scoring draws random numbers")
    after = [part for part in (clips.audio, clips.visual) if part is not None]
    _require(all(map(torch.equal, copies, after)), "scoring changes its input")
    same = all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    _require(same, "scoring changes weights or statistics")


def _padding_is_never_looked_at(case: Case) -> str | None:
    if case.features == "averaged":
        return "averaged features have no padding"
    method = case.trained(2)
    clips, classes = case.clips(torch.arange(CLASSES), 0), case.classes()
    filled = {}
    for part in ("audio", "visual"):
        values, mask = getattr(clips, part), getattr(clips, f"{part}_mask")
        filled[part] = torch.where(mask.unsqueeze(2), values, torch.tensor(1e4))
    other = Clips(filled["audio"], filled["visual"], clips.audio_mask, clips.visual_mask)
    _near(_scores(method, other, classes), _scores(method, clips, classes), "values at padded segments move the scores")
    return None


def _weights_survive(case: Case) -> None:
    from safetensors.torch import load, save

    method = case.trained(2)
    stored = load(save({key: value.contiguous() for key, value in method.state_dict().items()}))
    other = case.make(seed=1)
    other.make_room({name: tuple(value.shape) for name, value in stored.items()})
    other.load_state_dict(stored)
    clips, classes = case.clips(torch.arange(CLASSES), 0), case.classes()
    same = torch.equal(_scores(method, clips, classes), _scores(other.eval(), clips, classes))
    _require(same, "a method loaded from its weights gives other scores")


def _learns(case: Case) -> None:
    method = case.make()
    log = case.train(method, 60)
    labels = torch.arange(CLASSES).repeat(6)
    if log:
        losses = [terms[case.kind.falling] for terms in log if case.kind.falling in terms]
        late = sum(losses[-5:]) / 5
        _require(late < 0.7 * losses[0], f"'{case.kind.falling}' fell from {losses[0]:.3g} to only {late:.3g}")
    scores = _scores(method.eval(), case.clips(labels, 12), case.classes())
    if case.kind.one_sided:
        found = labels[scores.topk(len(labels) // CLASSES, dim=0).indices]  # for each class as many clips as it has
        share = float((found == torch.arange(CLASSES)).float().mean())
        _require(share > 0.8, f"only {100 * share:.0f} % of clips of its training classes are found")
        return
    right = float((scores.argmax(1) == labels).float().mean())
    _require(right > 0.8, f"only {100 * right:.0f} % of clips of its training classes are named right")


def _decides_by_distance(case: Case) -> str | None:
    method = case.trained(1)
    if not isinstance(method, EmbeddingMethod):
        return "its scores are no distances"
    clips, classes = case.clips(torch.arange(CLASSES), 0), case.classes()
    with torch.inference_mode():
        rows, columns = method.embed_clips(clips), method.embed_classes(classes)
    wanted = -torch.stack([(row - columns).norm(dim=1) for row in rows])
    _near(_scores(method, clips, classes), wanted, "scores are not the negative distances of the embeddings", 1e-5)
    return None


def _threads_do_not_matter(case: Case) -> None:
    method = case.trained(1)
    clips, classes = case.clips(torch.arange(CLASSES), 0), case.classes()
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(_scores(method, clips, classes))
    finally:
        torch.set_num_threads(before)
    _near(found[1], found[0], "two threads give other scores than one", 1e-5)


CHECKS = (
    Check("says_what_it_is", "It has a title, year, venue, citation and settings with defaults.", _says_what_it_is),
    Check("finite_scalars", "A step gives finite numbers, 'loss' among them.", _finite_scalars),
    Check("gradients_everywhere", "Gradients reach every trained weight.", _gradients_everywhere),
    Check("same_seed_same_numbers", "The same seed gives the same numbers.", _same_seed_same_numbers),
    Check("split_and_order", "Blocks of clips and order of classes change no score.", _split_and_order_do_not_matter),
    Check("no_trace", "Scoring keeps no state, draws no numbers and leaves its input alone.", _scoring_leaves_no_trace),
    Check("padding", "Padded segments are never looked at.", _padding_is_never_looked_at),
    Check("saved_weights", "Saved and loaded weights give the same scores.", _weights_survive),
    Check("learns", "The loss falls and training classes are told apart.", _learns),
    Check("distances", "Embeddings decide by Euclidean distance.", _decides_by_distance),
    Check("threads", "The number of threads changes nothing beyond 1e-5.", _threads_do_not_matter),
)  # fmt: skip
