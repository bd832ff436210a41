"""What C{runc-cpictl vm console} prints of a console."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from runc_cpi.ctl.console import TAIL, show_console
from runc_cpi.printable import printable


def shown(
    directory: Path, capsys: pytest.CaptureFixture[str], lines: int | None = None
) -> str:
    """Return what is printed of a VM's console."""
    show_console(directory, lines, follow=False)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        (b"login: \xff\n", "login: \\xff\n"),
        (b"\x1b]52;c;eA==\x07", r"\x1b]52;c;eA==\x07"),
        (b"\x1b]0;title\x1b\\", r"\x1b]0;title\x1b" + "\\"),
        (b"good\revil\r\nnext", "good\nevil\nnext"),
        (b"a\tb\x00\x08\x7f", r"a	b\x00\x08\x7f"),
        ("a\u202eb\u2066\u2028\x9b".encode(), r"a\u202eb\u2066\u2028\x9b"),
        ("Grüße".encode(), "Grüße"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    ],
)
def test_what_terminals_act_upon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: bytes, printed: str
) -> None:
    """Control characters are spelled out; line ends, tabs and letters stay."""
    (tmp_path / "console.log").write_bytes(written)
    assert shown(tmp_path, capsys) == printed


def test_the_end_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last MiB of the console is printed, or the last lines if so many are wanted."""
    (tmp_path / "console.log.1").write_text("x" * TAIL + "\nold\n")
    (tmp_path / "console.log").write_text("new\n")
    text = shown(tmp_path, capsys)
    assert len(text) == TAIL
    assert text.endswith("x\nold\nnew\n")
    assert shown(tmp_path, capsys, 2) == "old\nnew\n"
    assert shown(tmp_path, capsys, 0) == ""


def test_one_that_is_not_there(tmp_path: Path) -> None:
    """An error about a console that is not there names its path."""
    with pytest.raises(click.ClickException, match=f"{tmp_path}/console.log: No such file"):
        show_console(tmp_path, None, follow=False)


def test_what_is_kept() -> None:
    """C{printable} keeps tabs, or whatever else it is told to keep."""
    assert printable("a\tb\n") == "a\tb\\n"
    assert printable("a\tb\n", "") == "a\\tb\\n"
    assert printable("a\tb\n", "\n") == "a\\tb\n"
