"""Fig. 4: maps of clips of chosen classes, of the inputs and of the embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.errors import DataError, MissingExtraError
from avzsl.report.drawing import CLASS_COLOURS, short
from avzsl.report.records import Array
from avzsl.report.reproduce.figures import Numbers, Plate, Section, notice_of, title_of, write_figures
from avzsl.report.space import _finite, _tsne

Record = Mapping[str, Any]
SEED = 0
COLUMNS = {"audio": "sound (input)", "visual": "picture (input)", "embeddings": "joint space"}
# The first parent's classes are filled, the second's are open.
SHAPES = ("o", "s", "^", "D", "v", "P")
READING = (
    "t-SNE keeps neighbours and nothing else: sizes of groups and distances between them mean nothing. The same seed"
    " gives the same map.",
    "The silhouette is measured in the spaces themselves, not on the maps: 1 = every group by itself, 0 = no groups.",
    "Stars are the embeddings of the class names; only the joint space has them.",
    "The classes are chosen by name and split alone, before anything is looked at.",
)


def write_space(record: Record, folder: Path) -> list[Path]:
    """Everything of the item."""
    return write_figures(record, folder, [_section(panel, folder) for panel in record["panels"]], READING)


def read_vectors(path: Path) -> dict[str, Array]:
    """The vectors beside a record.

    Raises:
        DataError: they are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); give the same 'avzsl reproduce' command again") from error


def _section(panel: Record, folder: Path) -> Section:
    base = {"title": title_of(panel), "notice": notice_of(panel), "facts": panel["facts"]}
    if "classes" not in panel:
        return Section(**base, notes=(panel["reason"],))
    vectors = read_vectors(folder / panel["vectors"])
    names = [name for name in COLUMNS if name in vectors]
    rows = []
    try:
        maps = {name: flat(vectors, name) for name in names}
        rows = silhouettes(panel, vectors, names)
    except MissingExtraError as error:
        return Section(**base, notes=(str(error),))
    table = Numbers(
        "silhouette", "Silhouette: how far groups stand apart in each space", ("space", "by class", "by parent"),
        tuple((COLUMNS[name], *(f"{value:.3f}" for value in values)) for name, values in rows),
    )  # fmt: skip
    plate = Plate(
        "", (2.9 * len(names) + 0.3, 4.3), lambda figure, colours: draw_space(figure, panel, vectors, maps, colours)
    )
    parents = " and ".join(dict.fromkeys(c["parent"] or "no parent" for c in panel["classes"]))
    said = f"{len(panel['clips'])} test clips of {len(panel['classes'])} classes ({parents}); seed {panel['seed']}."
    return Section(**base, said=(said,), plates=(plate,), tables=(table,))


def flat(vectors: Mapping[str, Array], name: str) -> tuple[Array, Array | None]:
    """Places of the clips [N, 2] and, in the joint space, of the class names [C, 2] on the map."""
    points = _finite(vectors[name])
    if name != "embeddings":
        return _tsne(points, SEED), None
    both = _tsne(np.concatenate([points, _finite(vectors["stars"])]), SEED)
    return both[: len(points)], both[len(points) :]


def silhouettes(panel: Record, vectors: Mapping[str, Array], names: list[str]) -> list[tuple[str, tuple[float, float]]]:
    """For each space, the mean silhouette of classes and of parents (NaN where there is one group)."""
    try:
        from sklearn.metrics import silhouette_score
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "report", "the map of the joint space") from error
    labels = vectors["labels"]
    parents = np.array([c["parent"] for c in panel["classes"]])[labels]
    found = []
    for name in names:
        values = [
            float(silhouette_score(_finite(vectors[name]), own)) if 1 < len(set(own)) < len(own) else float("nan")
            for own in (labels.tolist(), parents.tolist())
        ]
        found.append((name, (values[0], values[1])))
    return found


def draw_space(
    figure: Any, panel: Record, vectors: Mapping[str, Array], maps: Mapping[str, tuple[Array, Array | None]],
    colours: Mapping[str, str],
) -> str:  # fmt: skip
    """One map per space, side by side; returns the drawing in words."""
    labels, classes = vectors["labels"], panel["classes"]
    first = classes[0]["parent"]
    grid = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (name, (clips, stars)) in zip(grid, maps.items(), strict=True):
        for number, one in enumerate(classes):
            colour, shape = colours[CLASS_COLOURS[number % 6]], SHAPES[number % 6]
            inside = colour if one["parent"] == first else "none"
            axes.scatter(
                *clips[labels == number].T, s=22, marker=shape, facecolors=inside, edgecolors=colour, linewidths=1.0,
                label=_label(number, one),
            )  # fmt: skip
            if stars is not None:
                axes.scatter(
                    *stars[number], s=230, marker="*", facecolors=colour, edgecolors=colours["ink"], linewidths=0.9,
                    zorder=4,
                )  # fmt: skip
                axes.annotate(
                    str(number + 1), stars[number], (8, 7), textcoords="offset points", fontsize=9, weight="bold",
                    color=colours["ink"], zorder=6,
                )  # fmt: skip
        axes.set(xticks=[], yticks=[], title=COLUMNS[name])
        axes.grid(False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(True)
    handles, texts = grid[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=2 if len(maps) > 1 else 1, fontsize=8.5)
    figure.suptitle(f"Fig. 4, {title_of(panel)}: {panel['method']}, seed {panel['seed']}", fontsize=10)
    told = "; ".join(_label(number, one) for number, one in enumerate(classes))
    return f"t-SNE maps of {', '.join(COLUMNS[name] for name in maps)}, seed {SEED}. Stars are class names. {told}."


def _label(number: int, one: Record) -> str:
    parent = f"{one['parent']}: " if one["parent"] else ""
    return f"{number + 1} {parent}{short(one['name'], 44)}{'' if one['seen'] else ' (unseen)'}"
