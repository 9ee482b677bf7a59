"""A flat picture of the joint space: t-SNE of clip and class embeddings."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from avzsl.errors import MissingExtraError
from avzsl.report.drawing import CLASS_COLOURS, COLOUR, Picture, canvas, to_svg
from avzsl.report.records import Array, StoredScores

MOST_CLIPS = 1500
"""Beyond this many points the figure tells no more and t-SNE takes long."""
LEAST_CLIPS = 5
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class ClassMark:
    """Number, colour and shape of one unseen class in the figure."""

    number: int
    name: str
    colour: str
    shape: str


def space_picture(test: StoredScores, seed: int = 0) -> tuple[Picture, list[ClassMark]]:
    """Draw the test clips and the class embeddings, unseen classes in colour.

    Raises:
        ValueError: there is nothing to draw; the message says why.
        MissingExtraError: scikit-learn is not installed.
    """
    if test.embeddings is None:
        raise ValueError("this method does not place clips in one space with the classes")
    clips = _finite(test.embeddings)
    if len(clips) < LEAST_CLIPS:
        raise ValueError(f"{len(clips)} clips are too few for a map of the space")
    rows = spread_rows(test.labels, MOST_CLIPS)
    stars = None if test.class_embeddings is None else _finite(test.class_embeddings)
    if stars is not None and stars.shape != (len(test.class_names), clips.shape[1]):
        stars = None
    points = clips[rows] if stars is None else np.concatenate([clips[rows], stars])
    flat = _tsne(points, seed)
    marks = class_marks(test)
    with canvas(7.4, 5.6) as figure:
        _draw(figure, test, rows, flat[: len(rows)], flat[len(rows) :] if stars is not None else None, marks)
        left_out = f"{len(rows)} of {len(clips)} test clips, evenly from every class" if len(rows) < len(clips) else (
            f"all {len(clips)} test clips"
        )  # fmt: skip
        text = f"Map of the joint space (t-SNE, seed {seed}): {left_out}; unseen classes in colour, seen ones grey"
        text += ", class embeddings as stars with the numbers of the list below." if stars is not None else "."
        return Picture(to_svg(figure, "space", text, wide=True), text, wide=True), list(marks.values())


def _finite(values: Array) -> Array:
    """Embeddings of a model that diverged must not stop the page: what is no number becomes zero."""
    return np.nan_to_num(np.asarray(values, dtype=np.float32), posinf=0.0, neginf=0.0)


def spread_rows(labels: Array, most: int) -> Array:
    """At most `most` rows, evenly spread over the classes: every k-th row in the order of classes."""
    order = np.argsort(labels, kind="stable")
    if len(order) <= most:
        return order
    return order[np.linspace(0, len(order) - 1, most).round().astype(int)]


def class_marks(test: StoredScores) -> dict[int, ClassMark]:
    """A colour and shape for every unseen class; pairs repeat after 36 classes."""
    unseen = sorted(np.nonzero(~test.seen)[0], key=lambda c: (test.class_names[c].casefold(), c))
    marks = {}
    for i, column in enumerate(unseen):
        # Shapes change with the round of colours, so neighbours in the list differ in colour first.
        shape = MARKERS[(i // len(CLASS_COLOURS)) % len(MARKERS)]
        marks[int(column)] = ClassMark(i + 1, test.class_names[column], CLASS_COLOURS[i % len(CLASS_COLOURS)], shape)
    return marks


def _tsne(points: Array, seed: int) -> Array:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "report", "the map of the joint space") from error
    if np.ptp(points, axis=0).max() == 0:
        raise ValueError("all embeddings are the same point")
    perplexity = min(30.0, max(2.0, (len(points) - 1) / 3))
    with _one_thread():
        # 'exact' for small sets: the tree method needs more points than three perplexities.
        method = "exact" if len(points) < 100 else "barnes_hut"
        model = TSNE(perplexity=perplexity, init="random", learning_rate="auto", random_state=seed, method=method)
        return np.asarray(model.fit_transform(points))


def _one_thread() -> contextlib.AbstractContextManager[Any]:
    """Sums over threads arrive in any order and t-SNE amplifies the difference; with one thread it repeats exactly."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: contextlib.AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


def _draw(
    figure: Any, test: StoredScores, rows: Array, clips: Array, stars: Array | None, marks: dict[int, ClassMark]
) -> None:
    axes = figure.subplots()
    labels = test.labels[rows]
    grey = test.seen[labels]
    axes.scatter(*clips[grey].T, s=9, color=COLOUR["soft"], alpha=0.45, linewidths=0)
    for column, mark in marks.items():
        chosen = clips[labels == column]
        axes.scatter(*chosen.T, s=18, color=COLOUR[mark.colour], marker=mark.shape, alpha=0.85, linewidths=0)
    if stars is not None:
        axes.scatter(*stars[test.seen].T, s=60, color=COLOUR["soft"], marker="*", linewidths=0)
        for column, mark in marks.items():
            axes.scatter(
                *stars[column], s=190, color=COLOUR[mark.colour], marker="*", edgecolor=COLOUR["ink"], linewidths=0.9
            )
            axes.annotate(str(mark.number), stars[column], (5, 4), textcoords="offset points", fontsize=8)
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    axes.grid(False)
