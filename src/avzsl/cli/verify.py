"""`avzsl verify`: what is wrong with a benchmark folder."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avzsl.cli._options import Json, Quiet, Trust, Trusted
from avzsl.cli._output import print_json, print_table
from avzsl.cli._progress import show_progress

if TYPE_CHECKING:
    from avzsl.data.verify import FamilyFacts, Finding, Verification

# Findings of one kind that are shown; a folder with 300 damaged files should not bury the rest.
_SHOWN = 5
# Longest line of a sentence, in characters.
_WIDTH = 110


def verify(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Benchmark folder, or its parent.", show_default=False)],
    family: Annotated[
        str | None, typer.Option(help="The only feature family to check; all that are there when absent.")
    ] = None,
    trust: Trust = False,
    trusted: Trusted = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is wrong with a benchmark folder, all at once.

    Class lists, splits, word vectors and every feature file are read and compared; nothing is changed. An error is what
    would stop a training or make its numbers wrong, a warning what is probably not meant, a note what is worth knowing.
    The exit code is 1 when there is an error.

    \b
    Examples:
      avzsl verify data/World
      avzsl verify data/UCF --family cls --json
    """
    from avzsl.data.verify import verify_benchmark

    with show_progress(quiet=quiet):
        found = verify_benchmark(data, family=family, trust=trust, trusted=trusted)
    print_json(found.as_dict()) if json else _show(found)
    if found.of("error"):
        raise typer.Exit(1)


def _show(found: Verification) -> None:
    counts = {severity: len(found.of(severity)) for severity in ("error", "warning", "note")}
    said = ", ".join(f"{n or 'no'} {word}{'' if n == 1 else 's'}" for word, n in counts.items())
    print(f"{found.root}: {said}")
    if found.simulated:
        print("simulated: numbers on it say nothing about real videos")
    for facts in found.families:
        _show_family(facts)
    kinds = Counter((finding.severity, finding.kind) for finding in found.findings)
    if kinds:
        print()
        print_table(["findings", "kind", "number"], [[severity, kind, str(n)] for (severity, kind), n in kinds.items()])
    width = min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH)
    for severity, number in counts.items():
        if number:
            print(f"\n{severity}s: what is where, and after '>' how to mend it")
            _show_findings(found.of(severity), width)


def _show_family(facts: FamilyFacts) -> None:
    published = {True: "; classes and clips as published", False: "; not as published", None: ""}[facts.published]
    unseen = facts.classes.get("stage_2_test_unseen", 0)
    seen = facts.classes.get("stage_2_train", facts.classes.get("stage_2_test_seen", 0))
    print(f"\nfamily {facts.family}: {seen} seen and {unseen} unseen classes in the test{published}")
    if facts.text:
        text = facts.text
        print(f"  {text['vectors']} word vectors of {text['columns']} columns, by {text['encoder']}")
    for kind, features in (("averaged", facts.averaged), ("temporal", facts.temporal)):
        if features is not None:
            _show_features(kind, features)


def _show_features(kind: str, features: Mapping[str, Any]) -> None:
    columns = ", ".join(f"{width or 'no'} {modality}" for modality, width in features["columns"].items())
    maker = features["extractor"]
    by = "an extractor that left no name" if maker is None else f"{maker['name']} ({maker['profile']})"
    print(f"  {kind} features: {columns} columns, by {by}")
    if features["segments"]:
        rows = (f"{s['fewest']} to {s['most']} {modality}" for modality, s in features["segments"].items())
        print(f"  rows per clip: {', '.join(rows)}")
    if features["fingerprint"] is not None:
        print(f"  fingerprint {features['fingerprint']}")
    table = [
        [f"    {split}", str(n["classes"]), str(n["clips"]), f"{n['fewest']} to {n['most']}"]
        for split, n in features["splits"].items()
    ]
    if table:
        print_table(["    split", "classes", "clips", "clips per class"], table)


def _show_findings(findings: Sequence[Finding], width: int) -> None:
    shown = Counter[tuple[str, str | None]]()
    for finding in findings:
        shown[finding.kind, finding.family] += 1
        if shown[finding.kind, finding.family] <= _SHOWN:
            print(f"  {finding.where}")
            print(textwrap.fill(finding.what, width, initial_indent="      ", subsequent_indent="      "))
            if finding.mend:
                print(textwrap.fill(finding.mend, width, initial_indent="    > ", subsequent_indent="      "))
    for (kind, family), number in shown.items():
        if number > _SHOWN:
            of = "" if family is None else f" of family {family}"
            print(f"  and {number - _SHOWN} more {kind}{of}; --json lists all")
