"""
The reference of the configuration as Markdown, made from the table of keys.

C{python -m runc_cpi.daemon.config.reference docs/configuration.md} writes it into that
file, between comments that say of which section's keys there is a table.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from runc_cpi.daemon.config.daemon import DaemonConfig
from runc_cpi.daemon.config.keys import Key, Section

COMMAND = "python -m runc_cpi.daemon.config.reference docs/configuration.md"
TABLE = re.compile(r"(<!-- keys of (\S+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)


def table(section: type[Section]) -> str:
    """Return a table with a row for each key of a section."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    rows += [_row(key) for key in section.keys().values()]
    return "\n".join(rows) + "\n"


def _row(key: Key) -> str:
    meaning = key.doc
    if key.section is not None:
        meaning += f": see [below](#{key.name})"
    if key.only is not None:
        meaning += f"; `{key.only}` only"
    return f"| `{key.name}` | {key.default} | {meaning} |"


def updated(text: str) -> str:
    """
    Return a document with its tables as the keys are now.

    @raise KeyError: if it has a table of a section that there is not.
    """
    sections: dict[str, type[Section]] = {"config.yml": DaemonConfig}
    for key in DaemonConfig.keys().values():
        if key.section is not None:
            sections[key.name] = key.section
    return TABLE.sub(lambda found: found[1] + table(sections[found[2]]) + found[3], text)


def main() -> None:
    """Bring the file up to date that the command line names."""
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
