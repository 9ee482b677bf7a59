"""What is wrong with a benchmark folder: all of it at once, where loading stops at the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.data.family import find_dataset
from avzsl.data.verify.class_names import check_class_csv, check_class_names
from avzsl.data.verify.families import Dataset, FamilyFacts, check_family
from avzsl.data.verify.findings import SEVERITIES, Finding, Findings
from avzsl.data.verify.folders import check_folders, families_of
from avzsl.errors import DataError
from avzsl.features.store import FeatureReader
from avzsl.files import read_json
from avzsl.types import SIMULATED

__all__ = ["SEVERITIES", "FamilyFacts", "Finding", "Verification", "verify_benchmark"]

_RECORD = "extract.json"


@dataclass(frozen=True)
class Verification:
    """All that was found about a benchmark folder.

    Attributes:
        root: the folder.
        stem: beginning of its class-name file, such as `ucf`.
        simulated: whether clips are generated or features drawn; None when the folder does not say.
        families: facts by family.
        findings: errors, warnings and notes, in this order.
    """

    root: Path
    stem: str
    simulated: bool | None
    families: tuple[FamilyFacts, ...]
    findings: tuple[Finding, ...]

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "root": str(self.root), "name": self.root.name, "stem": self.stem, "simulated": self.simulated,
            **{f"{severity}s": len(self.of(severity)) for severity in SEVERITIES},
            "families": [dict(vars(facts)) for facts in self.families],
            "findings": [finding.as_dict() for finding in self.findings],
        }  # fmt: skip


def verify_benchmark(
    root: Path | str, *, family: str | None = None, trust: bool = False, trusted: bool = False
) -> Verification:
    """Check a benchmark folder: lists, word vectors, and every feature file of every family.

    Damaged files are findings and the rest is checked all the same. Features are read one file after the other; only
    names and hashes of clips stay in memory.

    Args:
        root: the dataset folder, or its parent when that holds exactly one.
        family: the only feature family to look at; None = all that are there.
        trust: read temporal features from the public pickles (with an unpickler that runs no code).
        trusted: open feature files in this process, which is faster; a damaged one may then hang or crash it.

    Raises:
        DataError: there is no such folder, or no benchmark in it.
    """
    layout = find_dataset(Path(root))
    findings = Findings(layout.root)
    check_folders(layout, findings)
    index = check_class_names(layout, findings)
    keys = check_class_csv(layout, index, findings)
    record, sound = _read_record(layout.root, findings), findings.errors == 0
    with FeatureReader(trusted=trusted) as files:
        dataset = Dataset(layout, index, keys, sound=sound, record=record, files=files)
        facts, wanted = _check_families(dataset, family, trust, findings)
    if not wanted:
        what = "there is neither a folder of split files nor one of features"
        findings.add("error", "missing-folder", layout.class_split_dir, what, "download or write the class split again")
    return Verification(layout.root, layout.stem, _simulated(dataset.record, facts), tuple(facts), findings.sorted())


def _check_families(
    dataset: Dataset, family: str | None, trust: bool, findings: Findings
) -> tuple[list[FamilyFacts], tuple[str, ...]]:
    """What was found about each family, and which were wanted."""
    with_features, with_lists = families_of(dataset.layout)
    wanted = (*with_features, *with_lists) if family is None else (family,)
    facts: list[FamilyFacts] = []
    for name in wanted:
        if name in with_features:
            facts.append(
                check_family(dataset, name, findings, alone=family is None and len(with_features) == 1, trust=trust)
            )
        elif name not in [known.family for known in facts]:  # a swapped folder may have shown to be of this family
            severity = "error" if family is not None or not with_features else "note"
            facts.append(check_family(dataset, name, findings, missing=severity))
    return facts, wanted


def _simulated(record: Mapping[str, Any], facts: Sequence[FamilyFacts]) -> bool | None:
    """Whether clips are generated or features drawn, as the record of the extraction or the files themselves say."""
    makers = [kind["extractor"] for known in facts for kind in (known.averaged, known.temporal) if kind is not None]
    if any(maker is not None and maker["name"] == SIMULATED for maker in makers):
        return True
    said = record.get("simulated")
    return said if isinstance(said, bool) else None


def _read_record(root: Path, findings: Findings) -> Mapping[str, Any]:
    """What `avzsl extract` wrote about its work; empty for folders of another origin."""
    path = root / _RECORD
    if path.is_file():
        try:
            record = read_json(path)
        except DataError as error:
            findings.failed("record", path, error)
            return {}
        if isinstance(record, Mapping):
            return record
        findings.add("warning", "record", path, "is not what an extraction writes", "extract again, or remove it")
    return {}
