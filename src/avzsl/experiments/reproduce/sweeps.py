"""Fig. 3: time steps with and without TSF, rank by time steps, fixed thresholds against the dynamic one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avzsl.experiments.reproduce.context import SUBJECT, Context, Place, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import Claim, Line, panel, table_record
from avzsl.experiments.reproduce.published import published

TIME_STEPS = (2, 4, 8, 16)
RANKS = (20, 40, 60, 80)
THRESHOLDS = (0.2, 0.4, 0.6, 0.8, 1.0)
MODALITIES = ("both", "audio", "visual")
DYNAMIC = "dynamic"
SILENT = (
    "With GLP a neuron's input lies between 0 and 1 (Eq. 7), and so does its membrane: at a fixed threshold of 1.0"
    " nothing ever fires, whatever is learned."
)
_INPUTS = {"both": "both modalities", "audio": "audio only", "visual": "visual only"}


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        label: in the legend.
        keys: of its rows, one for each value on the axis.
    """

    label: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """One panel of the figure: a grid of settings.

    Attributes:
        key: `"a"`.
        title: above the panel.
        axis: what the horizontal axis shows.
        ticks: its values, as text.
        series: curves over them.
        settings: row key to settings of STFT.
        labels: row key to words.
        claims: what the text says of it.
        apart: how many of the last ticks are no values of the axis, so that no line leads to them.
        note: what follows from the equations alone.
    """

    key: str
    title: str
    axis: str
    ticks: tuple[str, ...]
    series: tuple[Series, ...]
    settings: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str]
    claims: tuple[Claim, ...]
    apart: int = 0
    note: str = ""


def time_step_sweep(steps: Sequence[int] = TIME_STEPS) -> Sweep:
    """Fig. 3a and 3d."""
    settings, labels, series = {}, {}, []
    for word, flag in (("with TSF", "true"), ("without TSF", "false")):
        keys = []
        for count in steps:
            key = f"T={count}, {word}"
            settings[key] = (f"time_steps={count}", f"time_step_factor={flag}")
            labels[key] = key
            keys.append(key)
        series.append(Series(word, tuple(keys)))
    claims = [Claim(f"T={t}, with TSF", f"T={t}, without TSF", "Sec. IV-C.2: with TSF at every T") for t in steps]
    claims.append(Claim("T=8, with TSF", "T=16, with TSF", "Sec. IV-C.2: a slight decrease from 8 to 16"))
    return Sweep("a", "Time steps with and without the time-step factor", "time steps T", tuple(map(str, steps)),
                 tuple(series), settings, labels, tuple(claims))  # fmt: skip


def rank_sweep(ranks: Sequence[int] = RANKS, steps: Sequence[int] = TIME_STEPS) -> Sweep:
    """Fig. 3b and 3e."""

    def key(rank: int, count: int) -> str:
        return f"R={rank}, T={count}"

    settings = {key(r, t): (f"rank={r}", f"time_steps={t}") for r in ranks for t in steps}
    series = tuple(Series(f"R = {r}", tuple(key(r, t) for t in steps)) for r in ranks)
    low = "Sec. IV-C.3: higher ranks are better, most of all at T = 2 and 4"
    claims = [Claim(key(80, t), key(20, t), low) for t in (2, 4)]
    claims.append(Claim(key(60, 8), key(80, 8), "Sec. IV-C.3: rank 60 passes rank 80 in ZSL at T = 8", ("zsl",)))
    grows = "Sec. IV-C.3: rank 80 keeps improving with T, the others fall a little"
    claims += [Claim(key(80, 16), key(80, 8), grows), Claim(key(60, 8), key(60, 16), grows)]
    return Sweep("b", "Rank of the Tucker fusion by time steps", "time steps T", tuple(map(str, steps)), series,
                 settings, {name: name for name in settings}, tuple(claims))  # fmt: skip


def threshold_sweep(thresholds: Sequence[float] = THRESHOLDS) -> Sweep:
    """Fig. 3c and 3f."""
    settings, labels, series, claims = {}, {}, [], []
    for modality in MODALITIES:
        keys = []
        for value in (*thresholds, DYNAMIC):
            fixed = isinstance(value, float)
            key = f"V_th={value}, {modality}"
            first = ("dynamic_threshold=false", f"threshold={value}") if fixed else ("dynamic_threshold=true",)
            settings[key] = (*first, f"modality={modality}")
            labels[key] = f"{'V_th ' if fixed else ''}{value}, {_INPUTS[modality]}"
            keys.append(key)
            if fixed:
                where = "Sec. IV-C.4: the dynamic threshold passes every fixed one"
                claims.append(Claim(f"V_th={DYNAMIC}, {modality}", key, where))
        series.append(Series(_INPUTS[modality], tuple(keys)))
        if modality != "both":
            where = "Sec. IV-C.4: both modalities pass one alone"
            claims.append(Claim(f"V_th={DYNAMIC}, both", f"V_th={DYNAMIC}, {modality}", where))
    return Sweep("c", "Fixed thresholds against the dynamic one", "threshold V_th",
                 (*map(str, thresholds), DYNAMIC), tuple(series), settings, labels, tuple(claims), 1,
                 SILENT if 1.0 in thresholds else "")  # fmt: skip


def sweeps(quick: bool) -> tuple[Sweep, ...]:
    """The three panels; a quick run has the ends of each grid."""
    if not quick:
        return time_step_sweep(), rank_sweep(), threshold_sweep()
    return time_step_sweep((2, 8)), rank_sweep((20, 80), (2, 8)), threshold_sweep((0.2, 0.6))


@dataclass(frozen=True)
class Figure3:
    """The figure, or some of its panels.

    Attributes:
        name: of the item.
        keys: panels.
    """

    name: str = "fig3"
    keys: tuple[str, ...] = ("a", "b", "c")

    def trainings(self, context: Context) -> Sequence[Training]:
        """The whole grid."""
        places = context.places(published("fig3"))
        return [t for p in places for sweep in self._sweeps(context) for line in _lines(context, p, sweep)
                for t in line.trainings]  # fmt: skip

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """One panel for each sweep and data folder, with what its chart shows."""
        item = published("fig3")
        places = context.places(item)
        sweeps_here = self._sweeps(context)
        panels = [_sweep_panel(context, place, sweep, found) for place in places for sweep in sweeps_here]
        number = item.number if len(self.keys) > 1 else f"{item.number}{self.keys[0]}"
        return table_record(item, context, panels) | {"item": self.name, "number": number}

    def _sweeps(self, context: Context) -> tuple[Sweep, ...]:
        return tuple(sweep for sweep in sweeps(context.quick) if sweep.key in self.keys)


def _lines(context: Context, place: Place, sweep: Sweep) -> list[Line]:
    return [
        Line(key, sweep.labels[key], context.trainings(place, SUBJECT, *settings))
        for key, settings in sweep.settings.items()
    ]


def _sweep_panel(context: Context, place: Place, sweep: Sweep, found: Found) -> dict[str, Any]:
    record = panel(
        published("fig3"), place, _lines(context, place, sweep), found, columns=("hm", "zsl"), claims=sweep.claims,
        title=f"({sweep.key}) {sweep.title}",
    )  # fmt: skip
    series = [{"label": series.label, "keys": list(series.keys)} for series in sweep.series]
    record["chart"] = {
        "key": sweep.key, "title": sweep.title, "axis": sweep.axis, "ticks": list(sweep.ticks), "apart": sweep.apart,
        "series": series,
    }  # fmt: skip
    record["notes"] += [sweep.note] if sweep.note else []
    return record


ITEMS.register("fig3")(Figure3())
# One panel alone: each takes hours where training does.
PANELS = ("fig3a", "fig3b", "fig3c")
for _panel in PANELS:
    ITEMS.register(_panel)(Figure3(_panel, (_panel[-1],)))
