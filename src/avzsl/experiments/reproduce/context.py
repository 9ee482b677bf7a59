"""On which data and with which settings the items of the paper are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avzsl.data.family import PUBLISHED_SIZES, PUBLISHED_STEMS, find_dataset
from avzsl.data.splits import Benchmark
from avzsl.errors import DataError, SettingError
from avzsl.experiments.benchmark import label_folders
from avzsl.experiments.cells import Cell, Loader
from avzsl.experiments.choice import Choice, assignments_of, choose
from avzsl.experiments.reproduce.published import Published, benchmark_title
from avzsl.experiments.run import choose_device, is_simulated
from avzsl.experiments.settings import assemble
from avzsl.experiments.tables import describe
from avzsl.files import hash_settings
from avzsl.types import SIMULATED

# The method that the paper is about: its ablations are what most items train.
SUBJECT = "stft"
# The benchmark whose numbers stand beside data that are none of the paper's: most of its tables have this one alone.
USUAL = "ucf"
# At most this much training per stage in a quick run.
QUICK = {"epochs": 2, "batches": 12, "batch_size": 64}
_KEY = 12


@dataclass(frozen=True)
class Request:
    """What to reproduce.

    Attributes:
        items: names of items.
        data: benchmark folders; an item takes those that the paper has it for, or else all of them.
        seeds: of everything random, one run each.
        preset: for all methods; None = chosen for each.
        assignments: `key=value` for every method, `method:key=value` for one.
        mode: `"clean"` or `"reference"`; None = as presets say.
        family: feature family; None = as the item and the data want.
        quick: shortened training and thinned grids.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        jobs: processes.
        trust: read temporal features from public pickles.
        frames_of: clip name to its pictures [F, H, W, 3] uint8, or None when there are none; for thumbnails alone.
        trusted: open feature files without a child process; as in `load_benchmark`.
    """

    items: tuple[str, ...]
    data: tuple[Path, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    preset: str | None = None
    assignments: tuple[str, ...] = ()
    mode: str | None = None
    family: str | None = None
    quick: bool = False
    device: str = "auto"
    jobs: int = 1
    trust: bool = False
    frames_of: Callable[[str], Any] | None = field(default=None, compare=False)
    trusted: bool = False

    def __post_init__(self) -> None:
        if not self.items or not self.seeds:
            raise SettingError("a reproduction needs at least one item and one seed")
        if min(self.seeds) < 0:
            raise SettingError(f"seed is {min(self.seeds)}; it must be at least 0")
        if self.jobs < 1:
            raise SettingError(f"jobs is {self.jobs}; it must be at least 1")
        for what, values in (("seed", self.seeds), ("item", self.items)):
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise SettingError(f"{what} {twice[0]} is given twice; give each once")


@dataclass(frozen=True)
class Place:
    """A data folder as one item sees it.

    Attributes:
        label: its short name.
        path: where it lies.
        family: feature family asked for; None = the one that is there.
        paper: stem of the benchmark of the paper whose numbers stand beside it.
        about: what is judged there, from `experiments.tables.describe`.
        benchmark: the loaded data.
        reasons: why its numbers are no reproduction of the paper's; empty when they are one.
    """

    label: str
    path: Path
    family: str | None
    paper: str
    about: Mapping[str, Any]
    benchmark: Benchmark = field(repr=False, compare=False)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """A method trained with certain settings and one seed.

    Attributes:
        place: on what.
        method: registered name.
        assignments: `key=value` texts beyond the preset.
        seed: of everything random.
    """

    place: Place
    method: str
    assignments: tuple[str, ...]
    seed: int


class Context:
    """Settles data, settings and run folders; the same question is worked out once.

    Args:
        request: what to reproduce.
        folder: where runs go.
        load: gives the data as settings want them.
    """

    def __init__(self, request: Request, folder: Path, load: Loader | None = None) -> None:
        self.request = request
        self.folder = folder
        self.load = load or Loader(trusted=request.trusted)
        self.device = choose_device(request.device).type
        self._labels = label_folders(request.data) if request.data else {}
        self._places: dict[tuple[str, str | None, str], Place] = {}
        # One copy for all items: the loader forgets what it has not been asked for lately.
        self._benchmarks: dict[tuple[Path, str | None], Benchmark] = {}
        self._choices: dict[tuple[Any, ...], Choice] = {}
        self._folders: dict[tuple[Any, ...], Path] = {}

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the trainings."""
        return self.request.seeds

    @property
    def quick(self) -> bool:
        """Whether grids are thinned and trainings shortened."""
        return self.request.quick

    def places(self, item: Published) -> tuple[Place, ...]:
        """The data folders that an item is worked out on.

        Those that the paper has it for; where there are none, all of them, and their numbers are no reproduction.

        Raises:
            DataError: a folder is damaged, or lacks the features that the item needs.
            SettingError: no data were given.
        """
        if not self._labels:
            raise SettingError(f"{item.name} ({item.number}) needs data; give a benchmark folder with --data")
        stems = {label: find_dataset(path).stem for label, path in self._labels.items()}
        fitting = [label for label, stem in stems.items() if stem in item.benchmarks]
        return tuple(self._place(label, stems[label], item) for label in fitting or stems)

    def trainings(self, place: Place, method: str, *assignments: str) -> tuple[Training, ...]:
        """A method with certain settings, one training per seed."""
        return tuple(Training(place, method, tuple(assignments), seed) for seed in self.seeds)

    def choice(self, training: Training) -> Choice:
        """With which preset and features a training is run, or why it cannot be."""
        place, request = training.place, self.request
        key = (str(place.path), place.family, training.method, training.assignments)
        if key not in self._choices:
            given = (*assignments_of(training.method, request.assignments), *training.assignments)
            chosen = choose(
                training.method,
                place.path,
                place.benchmark,
                request.preset,
                given,
                self._options(place.family),
                self.load,
            )
            self._choices[key] = self._shortened(chosen) if request.quick and not chosen.reason else chosen
        return self._choices[key]

    def settings(self, training: Training) -> dict[str, Any]:
        """All settings of a training, as plain values."""
        choice = self.choice(training)
        return assemble(
            training.method, preset=choice.preset, assignments=choice.assignments, options=choice.options,
            seed=training.seed,
        ).as_dict()  # fmt: skip

    def run_folder(self, training: Training) -> Path:
        """Where a training lies: named by the content of its settings, so that items share what is the same."""
        place = training.place
        key = (str(place.path), place.family, training.method, training.assignments)
        if key not in self._folders:
            content = self.settings(replace(training, seed=0)) | {
                "evaluated": place.about["evaluated"],
                "fingerprints": place.about["fingerprints"],
                "device": self.device,
            }
            name = f"{training.method}-{hash_settings(content)[:_KEY]}"
            self._folders[key] = self.folder / "runs" / name
        return self._folders[key] / f"seed-{training.seed}"

    def cell(self, training: Training) -> Cell:
        """What the runner runs."""
        choice = self.choice(training)
        return Cell(
            data=training.place.path, label=training.place.label, method=training.method, seed=training.seed,
            run=self.run_folder(training), preset=choice.preset, assignments=choice.assignments,
            options=choice.options, device=self.device,
        )  # fmt: skip

    def _options(self, family: str | None) -> dict[str, dict[str, Any]]:
        return {
            "data": {"family": family, "trust": self.request.trust or None},
            "protocol": {"mode": self.request.mode},
        }

    def _shortened(self, choice: Choice) -> Choice:
        """The same with less training."""
        train = assemble(
            choice.method, preset=choice.preset, assignments=choice.assignments, options=choice.options
        ).train
        capped = {name: min(getattr(train, name), most) for name, most in QUICK.items()}
        return replace(choice, options={**choice.options, "train": capped})

    def _place(self, label: str, stem: str, item: Published) -> Place:
        path, known = self._labels[label], stem in PUBLISHED_STEMS
        family = self.request.family or (item.family if known else None)
        key = (label, family, item.name)
        if key not in self._places:
            try:
                benchmark = self._load(path, family)
            except DataError as error:
                if not known or self.request.family:
                    raise
                # The end of the sentence would point to the other family.
                why = str(error).partition(";")[0]
                raise DataError(
                    f"{item.number} needs features of family '{family}' ({_FEATURES[item.family]}) in {path}: {why};"
                    " put them there (docs/data-format.md), or name the family that you have with --family"
                ) from error
            self._places[key] = Place(
                label, path, family, stem if stem in item.benchmarks else _stand_in(item),
                describe(label, path, benchmark), benchmark, tuple(self._reasons(benchmark, stem, item)),
            )  # fmt: skip
        return self._places[key]

    def _load(self, path: Path, family: str | None) -> Benchmark:
        """Averaged features, or temporal ones where those are missing."""
        if (path, family) not in self._benchmarks:
            self._benchmarks[path, family] = self._read(path, family)
        return self._benchmarks[path, family]

    def _read(self, path: Path, family: str | None) -> Benchmark:
        settings = assemble(SUBJECT, options=self._options(family))
        try:
            return self.load(settings, path)
        except DataError as error:
            try:
                return self.load(replace(settings, data=replace(settings.data, temporal=True)), path)
            except DataError:
                raise error from None

    def _reasons(self, benchmark: Benchmark, stem: str, item: Published) -> Iterable[str]:
        """Why numbers on these data are no reproduction of the item."""
        if is_simulated(benchmark):
            what = "features were drawn" if benchmark.identity.name == SIMULATED else "clips were made"
            yield f"the data are simulated: the {what} by a program"
        if stem not in PUBLISHED_STEMS:
            yield f"{benchmark.name} is none of the paper's benchmarks"
        elif stem not in item.benchmarks:
            printed = " and ".join(benchmark_title(name) for name in item.benchmarks)
            yield f"the paper prints this for {printed}, the data are {benchmark_title(stem)}"
        sizes = (benchmark.dimensions.audio, benchmark.dimensions.visual)
        if sizes != PUBLISHED_SIZES[item.family] and not is_simulated(benchmark):
            wanted = "/".join(map(str, PUBLISHED_SIZES[item.family]))
            found = "/".join(str(size or 0) for size in sizes)
            yield f"the features have {found} columns, the paper's {wanted} ({_FEATURES[item.family]})"
        elif benchmark.identity.profile == "clean" and not is_simulated(benchmark):
            yield f"the features were made by {benchmark.identity.name}, not as the published ones"
        if self.request.quick:
            yield "this is a quick run: training is shortened and grids are thinned"
        if self.request.preset is not None:
            yield f"the settings start from the preset {self.request.preset}"
        if self.request.assignments:
            yield f"settings were changed: {', '.join(self.request.assignments)}"


_FEATURES = {"main": "SeLaVi, 512 and 512 columns", "cls": "VGGish and C3D, 128 and 4096 columns"}


def _stand_in(item: Published) -> str:
    return USUAL if USUAL in item.benchmarks else item.benchmarks[0]
