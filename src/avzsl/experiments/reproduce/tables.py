"""Tables II to VII, IX and XI: methods side by side, and STFT with one setting changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avzsl.experiments.reproduce.context import SUBJECT, Context, Place, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import SCORES, Line, panel, table_record
from avzsl.experiments.reproduce.published import Published, published
from avzsl.methods._base import METHODS

# Rows of each table, as settings of STFT; a test compares the keys with the published rows.
ABLATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "table3": {
        "without_both": ("projection_loss=false", "reconstruction_loss=false"),
        "without_projection": ("projection_loss=false",),
        "without_reconstruction": ("reconstruction_loss=false",),
        "stft": (),
    },
    "table4": {
        "without_glp": ("pooling=false",),
        "without_tsf": ("time_step_factor=false",),
        "without_dth": ("dynamic_threshold=false",),
        "without_lkc": ("latent_combiner=false",),
        "stft": (),
    },
    "table5": {
        f"{alpha}/{beta}": (f"alpha={alpha}", f"beta={beta}")
        for alpha, beta in (("0.2", "0.8"), ("0.8", "0.2"), ("0.7", "0.3"), ("0.3", "0.7"), ("0.5", "0.5"))
    },
    "table6": {
        "transformer_mlp": ("spiking=mlp",),
        "spikformer_snn": ("reasoning=spiking_attention",),
        "stft": (),
    },
    "table7": {str(slots): (f"slots={slots}",) for slots in range(1, 7)},
    "table9": {"only_transformer": ("paths=transformer",), "only_snn": ("paths=snn",), "stft": ()},
}
# What a quick run leaves out of the longer grids.
THINNED = {"table5": ("0.7/0.3", "0.3/0.7"), "table7": ("2", "5", "6")}


@dataclass(frozen=True)
class ResultTable:
    """A table whose rows are trainings.

    Attributes:
        name: of the item.
        lines: gives the rows on a data folder.
        columns: scores shown.
        pairs: whether the order of all rows is counted too.
    """

    name: str
    lines: Callable[[Context, Published, Place], Sequence[Line]]
    columns: tuple[str, ...] = SCORES
    pairs: bool = False

    def trainings(self, context: Context) -> Sequence[Training]:
        """Those of all rows."""
        item = published(self.name)
        return [
            t for place in context.places(item) for line in self.lines(context, item, place) for t in line.trainings
        ]

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """One panel for each data folder."""
        item = published(self.name)
        panels = [
            panel(item, place, self.lines(context, item, place), found, columns=self.columns, pairs=self.pairs)
            for place in context.places(item)
        ]
        return table_record(item, context, panels)


def ablation_lines(context: Context, item: Published, place: Place) -> list[Line]:
    """STFT with what each row changes."""
    rows: Mapping[str, tuple[str, ...]] = ABLATIONS[item.name]
    left_out = THINNED.get(item.name, ()) if context.quick else ()
    kept = [row for row in item.rows if row.key not in left_out or row.key == item.full[place.paper]]
    return [Line(row.key, row.label, context.trainings(place, SUBJECT, *rows[row.key])) for row in kept]


def method_lines(context: Context, item: Published, place: Place) -> list[Line]:
    """The paper's methods, and those that solve in closed form or learn nothing, where they can run."""
    lines = [Line(row.key, row.label, context.trainings(place, row.key)) for row in item.rows]
    for name in METHODS.names():
        kind = METHODS.get(name)
        if kind.yardstick:
            trainings = context.trainings(place, name)
            if not context.choice(trainings[0]).reason:
                lines.append(Line(name, f"{kind.title} (not in the paper)", trainings))
    return lines


for _name in ("table3", "table4", "table5", "table6", "table9"):
    ITEMS.register(_name)(ResultTable(_name, ablation_lines))
ITEMS.register("table7")(ResultTable("table7", ablation_lines, columns=("hm", "zsl")))
for _name in ("table2", "table11"):
    ITEMS.register(_name)(ResultTable(_name, method_lines, pairs=True))
