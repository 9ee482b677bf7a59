"""What a method is: two abstract classes and their registry. A method's own file makes a final class of one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from avzsl.decision import embedding_scores
from avzsl.nn.synapses import SpikeLayer
from avzsl.registry import Registry, class_decorator
from avzsl.types import Batch, Clips, Dimensions, SpikeTrace

METHODS: Registry[type[Method]] = Registry("method")
# Class decorator: files a method under a name (the only wiring it needs besides its import line).
register = class_decorator(METHODS)


class Method(nn.Module, ABC):
    """A way to score clips against classes, taught by labelled clips of some classes.

    A method is built as `SomeMethod(config, dimensions)`; weights are drawn from torch's global generator, which the
    caller seeds. Nothing is kept from one call to the next except parameters and normalisation statistics.

    Class attributes:
        Config: frozen dataclass of settings, all with defaults.
        name: set by `register`.
        title, year, venue, citation: for tables; `citation` is a BibTeX entry or a plain sentence.
        inputs: `"averaged"`, `"temporal"` or `"averaged or temporal"`.
        note: one phrase for tables where the name alone would promise too much, such as `"our reconstruction"`.
        candidates_matter: True when a class's score depends on which other classes stand beside it, so that scores
            cannot be had for some of them alone.
        falling: the loss term that falls as the method learns; where opponents train each other, `"loss"` does not.
        one_sided: True where the loss ranks clips for a class and never classes for a clip. Scores of different classes
            then share no scale, and all that is promised is that the clips of a class are found.
        checked_with: sizes that the contract builds the method with, where it cannot be built with any; features that
            are as wide as the text vectors lie in their space there. None = the contract's own sizes.
        yardstick: True for a method that is solved in closed form or not trained at all: what every method that learns
            by gradient steps should pass, and is seen to pass or not in a benchmark's table.
    """

    Config: ClassVar[type[Any]]
    name: ClassVar[str]
    title: ClassVar[str]
    year: ClassVar[int]
    venue: ClassVar[str]
    citation: ClassVar[str]
    inputs: ClassVar[str] = "averaged or temporal"
    note: ClassVar[str] = ""
    candidates_matter: ClassVar[bool] = False
    falling: ClassVar[str] = "loss"
    yardstick: ClassVar[bool] = False
    one_sided: ClassVar[bool] = False
    checked_with: ClassVar[Dimensions | None] = None

    def __init__(self, config: Any, dimensions: Dimensions) -> None:
        super().__init__()
        self.config = config
        self.dimensions = dimensions

    @abstractmethod
    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of one batch: scalar tensors, `"loss"` the one to minimise, the rest for the log."""

    @abstractmethod
    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """Scores [B, C] of clips against class text vectors [C, d_w]; higher is better."""

    def mode_scores(self, clips: Clips, classes: Tensor) -> dict[str, Tensor]:
        """Scores of every output a method offers, the reported one under `"both"` (docs/protocol.md section 8).

        A method that decides otherwise when only unseen classes are possible gives those scores as `"zsl"`: they are
        looked at in the columns of unseen classes, for the zero-shot number and nothing else.
        """
        return {"both": self.class_scores(clips, classes)}

    def scorer(self, classes: Tensor) -> Callable[[Clips], dict[str, Tensor]]:
        """`mode_scores` for these classes as a function of the clips alone.

        For methods that have work to do for a set of classes before the first clip; everyone who scores many blocks of
        clips calls this once. Made and used in evaluation mode.

        Args:
            classes: [C, d_w].
        """
        return lambda clips: self.mode_scores(clips, classes)

    def updates(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """The optimiser steps of one batch: yields the losses of each, `"loss"` the one to minimise.

        What a method does after a `yield` happens after that step. Parameters that got no gradient stay as they are, so
        a step can be for some of them alone.
        """
        yield self.fit_step(batch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser trains, as groups that may carry options of Adam such as `"betas"`."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def solve(self, clips: Clips, labels: Tensor, classes: Tensor) -> bool:
        """Fit in closed form on the whole training set; return True if that is all the training there is.

        Called once, before the first step: also the place to look at the training set without fitting anything yet.

        Args:
            clips: all N training clips.
            labels: [N] int64, columns of `classes`.
            classes: [C, d_w] text vectors of the training classes.
        """
        return False

    def end_of_epoch(self, clips: Clips, labels: Tensor, classes: Tensor) -> None:
        """Called after the last step of every epoch, before validation, with the whole training set as `solve` is."""

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Called before weights are loaded, with their shapes; for buffers whose size follows the training data."""

    def spike_traces(self, clips: Clips) -> tuple[SpikeTrace, ...]:
        """What the spiking neurons did for the first clip; empty for a method without any."""
        return ()

    def spike_layers(self, clips: Clips) -> tuple[SpikeLayer, ...]:
        """The layers of spiking neurons, what each did for all clips and what that takes; empty without any.

        Used in evaluation mode. A part of the method (an attribute of it) that holds one of these layers has all its
        products described by them; products of all other parts are counted by running them.
        """
        return ()

    def without_spikes(self) -> Method | None:
        """An untrained method of the same sizes with other networks in the place of the spiking ones.

        To compare costs with. None where the method knows no such variant of itself.
        """
        return None


class EmbeddingMethod(Method):
    """A method that puts clips and classes in one space and decides by Euclidean distance."""

    @abstractmethod
    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses of one batch, `"loss"` among them."""

    @abstractmethod
    def embed_clips(self, clips: Clips) -> Tensor:
        """Clip embeddings [B, D]."""

    @abstractmethod
    def embed_classes(self, classes: Tensor) -> Tensor:
        """Class embeddings [C, D] of text vectors [C, d_w]."""

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        return self.loss_terms(batch)

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        return embedding_scores(self.embed_clips(clips), self.embed_classes(classes))

    def scorer(self, classes: Tensor) -> Callable[[Clips], dict[str, Tensor]]:
        """`mode_scores` for classes [C, d_w] embedded once; a method that scores otherwise is asked for every block."""
        own = type(self)
        if own.class_scores is not EmbeddingMethod.class_scores or own.mode_scores is not Method.mode_scores:
            return super().scorer(classes)
        columns = self.embed_classes(classes)
        return lambda clips: {"both": embedding_scores(self.embed_clips(clips), columns)}
