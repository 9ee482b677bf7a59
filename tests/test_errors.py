"""Whatever a file brings into a message, it stays one line of bearable length that any terminal can show."""

from __future__ import annotations

import pytest

from avzsl.errors import AvzslError, DataError, MissingExtraError, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünïcode 猫 👩‍🚀", "plain – ünïcode 猫 👩‍🚀"),
        ("two\nlines\r\nand\ta tab", "two lines  and a tab"),
        ("\x1b[31mred\x07 \x9b2J", " [31mred   2J"),
        ("a\u2028b\u2029c\u202egpj.exe\u2066", "a b c gpj.exe "),
        ("half \ud800 a character\n", "half \\ud800 a character "),
        ("", ""),
    ],
)
def test_control_characters_become_spaces(text: str, shown: str) -> None:
    assert one_line(text) == shown == str(DataError(text))
    shown.encode()


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    text = str(DataError("beginning" + "x" * 10**6 + "end"))
    assert len(text) < 2000 and text.startswith("beginning") and text.endswith("end") and " [...] " in text
    assert one_line("x" * 2000) == "x" * 2000


def test_errors_of_all_kinds_keep_their_words() -> None:
    assert str(MissingExtraError("av", "video", "reading")).startswith("reading needs the package 'av'")
    assert AvzslError("a", 3).args == ("a", 3)
