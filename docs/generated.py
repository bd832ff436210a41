"""Pages that a script writes: written, or only compared with what they should be."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def keep(page: Path, text: str, script: str) -> None:
    """
    Write a page; with C{--check} among the arguments, only say whether it is up to date.

    @param script: the file that calls this.
    @raise SystemExit: if it is not up to date.
    """
    name = page.relative_to(ROOT)
    if "--check" not in sys.argv[1:]:
        page.write_text(text, "utf-8")
        print(f"wrote {name}")
    elif not page.exists() or page.read_text("utf-8") != text:
        command = f"python {Path(script).resolve().relative_to(ROOT)}"
        sys.exit(f"{name} is not up to date: run {command}")
