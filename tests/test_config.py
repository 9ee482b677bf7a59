from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from avzsl.config import fill, load_preset, parse_assignment, parse_toml, place_assignments
from avzsl.errors import SettingError, nearest_name


@dataclass(frozen=True)
class Walk:
    steps: int = 1
    speed: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("steps must be at least 1")
        if self.steps * self.speed > 100:
            raise ValueError("steps times speed must not pass 100")


@dataclass(frozen=True)
class Swim:
    speed: float = 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stpes": 2}, r"unknown setting 'stpes' in \[walk\]; did you mean 'steps'\?"),
        ({"steps": "many"}, r"setting 'steps' in \[walk\] is 'many': "),
        ({"steps": 0, "speed": 2.0}, r"wrong setting in \[walk\]: steps must be at least 1 \(given: steps = 0\)$"),
        ({"steps": 60, "speed": 2.0}, r"must not pass 100 \(given: steps = 60, speed = 2.0\)$"),
    ],
)
def test_a_wrong_value_is_named_with_its_setting(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        fill(Walk, values, "[walk]")


def test_values_of_the_right_kind_are_filled_in() -> None:
    assert fill(Walk, {"steps": "3", "speed": 2}, "[walk]") == Walk(3, 2.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", ("a", 1)),
        ("a = [1, 2]", ("a", [1, 2])),
        ("a=x=y", ("a", "x=y")),
        ("a=true", ("a", True)),
        ("a=", ("a", "")),
    ],
)
def test_an_assignment_is_read_as_toml_or_as_text(text: str, expected: tuple[str, object]) -> None:
    assert parse_assignment(text) == expected


def test_a_bare_name_goes_to_its_section_unless_two_have_it() -> None:
    sections = {"walk": Walk, "swim": Swim}
    assert place_assignments(["steps=2", "swim.speed=3"], sections) == {"walk": {"steps": 2}, "swim": {"speed": 3}}
    with pytest.raises(SettingError, match=r"'speed' is ambiguous; write walk\.speed or swim\.speed"):
        place_assignments(["speed=1"], sections)
    with pytest.raises(SettingError, match=r"unknown setting 'walk\.seteps'; did you mean 'walk\.steps'"):
        place_assignments(["walk.seteps=1"], sections)


def test_many_names_do_not_bury_the_message() -> None:
    assert nearest_name("x", ["one", "two"]) == "; choose one of: one, two"
    assert nearest_name("one!", [f"class {i}" for i in range(300)] + ["one"]) == "; did you mean 'one'?"
    assert nearest_name("zzz", [f"class {i:03}" for i in range(300)]) == (
        "; it is none of 300 known names such as 'class 000' and 'class 001'"
    )
    assert nearest_name("x", []) == ""


@pytest.mark.parametrize("text", ["paper = 3", "reference = [1]", "paper = 'x'", "reference = 1.5", "train = 4"])
def test_what_should_be_a_section_of_a_preset_and_is_not_is_refused(text: str, tmp_path: Path) -> None:
    from avzsl.experiments.settings import assemble

    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match="section"):
        assemble("ridge", preset=str(path))


@pytest.mark.parametrize("name", ["a\0b.toml", "device.toml", "absent.toml", "."])
def test_a_preset_that_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "device.toml").symlink_to("/dev/zero")
    with pytest.raises(SettingError, match="cannot read the preset"):
        load_preset("ridge", f"{tmp_path}/{name}")


@pytest.mark.parametrize("value", ["[" * 5000 + "]" * 5000, "{a=" * 5000 + "1" + "}" * 5000, "9" * 9000], ids=len)
def test_toml_without_end_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match="the preset"):
        parse_toml(f"a = {value}", "the preset")
    assert parse_assignment(f"a={value}") == ("a", value)  # what is not TOML is text
