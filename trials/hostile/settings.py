"""Damaged presets, assignments, run records and class lists, read as `train` reads them."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import avzsl
from avzsl.cli import main
from avzsl.config import load_preset, preset_names
from avzsl.data.splits import load_benchmark
from avzsl.errors import AvzslError
from avzsl.experiments.folder import SETTINGS
from avzsl.experiments.result import RESULT
from avzsl.experiments.run import run_training
from avzsl.methods._base import METHODS
from avzsl.methods._contract import DIMENSIONS
from avzsl.methods._profile import count_parameters
from avzsl.predict.classes import parse_class_list
from trials.hostile import attempt as attempts
from trials.hostile.attempt import Attempt, WrongResultError
from trials.hostile.benchmark import write_benchmark
from trials.hostile.mutate import ODD_TEXTS, Random, mutate_bytes, mutate_values, odd_value
from trials.hostile.toml import as_toml

METHOD, PRESET = "ridge", "default"


class _EnoughError(AvzslError):
    """Settings were accepted; nothing has to be trained."""


class Subject:
    """A finished run, its data and a preset; one file (or the command line) is damaged at a time."""

    limit = 60.0

    def __init__(self, base: Path) -> None:
        torch.set_num_threads(1)
        self.base, self.data, self.run = base, base / "in/Tiny", base / "in/run"
        write_benchmark(self.data)
        self.benchmark = load_benchmark(self.data, trusted=True)
        self._train()
        self.presets = [(m, p) for m in METHODS.names() for p in preset_names(m)]
        self.preset, self.names = base / "in/preset.toml", base / "in/names.txt"
        self.names.write_text("red ball\nbarking dog\n")
        self.lists = sorted(p for p in self.data.rglob("*") if p.suffix in (".txt", ".csv", ".safetensors"))
        self.records = [self.run / SETTINGS, self.run / RESULT]
        self.good = {p: p.read_bytes() for p in (*self.lists, *self.records, self.names)}
        self.result = self._train()

    def attempts(self, numbers: range, seed: int) -> Iterator[Attempt]:
        """One damaged file each."""
        kinds = (self._preset, self._preset, self._assignments, self._record, self._record, self._list, self._command)
        shares = np.array([0.25, 0.15, 0.2, 0.15, 0.1, 0.14, 0.01])
        for number in numbers:
            random = np.random.default_rng([seed, 3, number])
            yield kinds[int(random.choice(len(kinds), p=shares))](number, random)

    def _train(self, **options: Any) -> Any:
        """The same command again: it reads the finished run back."""
        return run_training(
            self.data, METHOD, out=self.run, preset=PRESET, load=lambda *_: self.benchmark, **options
        ).as_dict()

    def _assemble(self, method: str, **options: Any) -> bool:
        """Settings until the data would be loaded."""
        found: list[Any] = []

        def load(settings: Any, data: Path) -> Any:
            found.append(settings)
            raise _EnoughError("enough")

        with contextlib.suppress(_EnoughError):
            run_training(self.data, method, out=self.base / "new", load=load, **options)
        # What `train` does next with the data; it must not take for ever either.
        count_parameters(METHODS.get(method), found[0].config, METHODS.get(method).checked_with or DIMENSIONS)
        try:
            json.dumps(found[0].as_dict(), allow_nan=False)
        except ValueError as error:
            raise WrongResultError(f"a setting that is not finite was accepted ({error})") from error
        return False

    def _preset(self, number: int, random: Random) -> Attempt:
        method, name = self.presets[int(random.integers(0, len(self.presets)))]
        values = load_preset(method, name)
        if random.random() < 0.5:
            what, content = mutate_bytes(as_toml(values).encode(), random)
        else:
            what, changed = mutate_values(values, random)
            content = as_toml(changed).encode("utf-8", "surrogatepass")
        if random.random() < 0.003:
            what = attempts.put_oddity(self.preset, number)
        else:
            attempts.put(self.preset, content)
        mode = ("clean", "reference")[int(random.integers(0, 2))]
        options = {"protocol": {"mode": mode}} if random.random() < 0.5 else {}

        def call() -> bool:
            return self._assemble(method, preset=str(self.preset), options=options)

        return self._judge(number, f"{what} in a preset", call, self.preset)

    def _assignments(self, number: int, random: Random) -> Attempt:
        method, name = self.presets[int(random.integers(0, len(self.presets)))]
        keys = [f"{section}.{key}" for section, values in load_preset(method, name).items() for key in values]
        keys += ["learning_rate", "epochs", "data.family", "protocol.mode", "train.batch_size", "=", "a.b.c", ""]
        texts = []
        for _ in range(int(random.integers(1, 4))):
            value = odd_value(random)
            text = value if isinstance(value, str) else json.dumps(value)
            texts.append(f"{keys[int(random.integers(0, len(keys)))]}={text}")
            if random.random() < 0.2:
                texts[-1] = mutate_bytes(texts[-1].encode("utf-8", "replace"), random)[1].decode("utf-8", "replace")
        seed = int(random.choice([0, 1, -1, 42]))

        def call() -> bool:
            return self._assemble(method, preset=name, assignments=texts, seed=seed)

        return self._judge(number, f"{method}/{name} --set {' '.join(texts)[:80]!r}", call, None)

    def _record(self, number: int, random: Random) -> Attempt:
        path = self.records[int(random.integers(0, len(self.records)))]
        what = self._spoil(path, number, random)
        return self._judge(number, f"{what} in {path.name}", lambda: self._train() == self.result, path)

    def _list(self, number: int, random: Random) -> Attempt:
        if random.random() < 0.2:
            what = self._spoil(self.names, number, random)
            call = lambda: parse_class_list(f"@{self.names}") == ["red ball", "barking dog"]  # noqa: E731
            return self._judge(number, f"{what} in a class list", call, self.names)
        path = self.lists[int(random.integers(0, len(self.lists)))]
        what = self._spoil(path, number, random)

        def load() -> bool:
            return load_benchmark(self.data, trusted=True).fingerprint == self.benchmark.fingerprint

        return self._judge(number, f"{what} in {path.name}", load, path)

    def _command(self, number: int, random: Random) -> Attempt:
        """The command line itself, with a damaged preset, in this process."""
        what, content = mutate_bytes(as_toml(load_preset(METHOD, PRESET)).encode(), random)
        attempts.put(self.preset, content)
        words = ["train", METHOD, "--data", str(self.data), "--out", str(self.run), "--preset", str(self.preset)]
        if random.random() < 0.3:
            words += ["--set", ODD_TEXTS[int(random.integers(0, len(ODD_TEXTS)))].replace("\x00", "0")]

        def call() -> bool:
            out, error = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                code = main([*words, "--quiet"])
            text = error.getvalue()
            if code not in (0, 2) or (code == 2 and (text.count("\n") != 1 or not text.startswith("error: "))):
                raise WrongResultError(f"exit code {code}, stderr {text[:300]!r}")
            return code == 0

        return self._judge(number, f"{what} in a preset on the command line", call, self.preset)

    def _spoil(self, path: Path, number: int, random: Random) -> str:
        if random.random() < 0.005:
            # Without a result a run would be trained again, as it should.
            return attempts.put_oddity(path, number % 5 if path in self.records else number)
        content = self.good[path]
        if path.suffix == ".json" and random.random() < 0.6:
            what, values = mutate_values(json.loads(content), random)
            content = json.dumps(values).encode("utf-8", "surrogatepass")
        else:
            what, content = mutate_bytes(content, random)
        attempts.put(path, content)
        return what

    def _judge(self, number: int, what: str, call: Any, path: Path | None) -> Attempt:
        if path is not None:
            attempts.tell(self.base, path)
        found = attempts.run(number, what, call, self.base / "in")
        if path is not None:
            attempts.keep_fault(self.base, path, found)
            if path in self.good:
                attempts.put(path, self.good[path])
            else:
                attempts.remove(path)
        return found


assert avzsl and sys  # the package is under test
