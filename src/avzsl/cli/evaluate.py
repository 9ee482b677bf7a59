"""`avzsl evaluate`: judge a stored model again."""

from __future__ import annotations

from dataclasses import asdict

from avzsl.cli._options import Data, Device, Json, Run, Trust, Trusted
from avzsl.cli._output import print_json, print_scores


def evaluate(
    run: Run, data: Data, device: Device = "auto", trust: Trust = False, trusted: Trusted = False, json: Json = False
) -> None:
    """Judge a stored model on a benchmark folder.

    It is judged on the test set with the bias stored in the run.

    The features must come from the extractor, and the class vectors from the text encoder, that the model was trained
    on. Nothing is written.

    \b
    Example:
      avzsl evaluate runs/world --data data/World
    """
    from avzsl.experiments.evaluate import evaluate_run

    found = evaluate_run(run, data, device=device, trust=trust, trusted=trusted)
    if json:
        print_json(asdict(found))
        return
    print_scores(asdict(found), f"{found.method} of {run} on {found.benchmark}, {found.clips} test clips")
    same = "the data it was trained on" if found.same_data else "other data than it was trained on"
    print(f"  bias {found.bias:g} from training; {same}")
