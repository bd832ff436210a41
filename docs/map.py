"""
Writes what docs/architecture.md shows of the code: the map of modules and the drawing.

C{python docs/map.py} writes both, C{python docs/map.py --check} only says whether they are
up to date.  The standard library is enough to run it.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import drawing

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGE = DOCS / "architecture.md"
IMAGE = DOCS / "images" / "architecture.svg"
COMMAND = "python docs/map.py"
BEGIN = f"<!-- The map: written by `{COMMAND}` from the modules' docstrings. -->"
END = "<!-- End of the map. -->"
TOP = "runc_cpi"
DAEMON = "runc_cpi.daemon"
# From the callers down.  Packages that are not named here come last.
ORDER = (TOP, f"{TOP}.cpi", f"{TOP}.ctl", DAEMON, *drawing.packages())


@dataclass(frozen=True)
class Module:
    """
    A module, or a package by its C{__init__.py}.

    @ivar name: its dotted name
    @ivar path: its file, relative to the repository
    @ivar summary: the first line of its docstring, in Epytext
    @ivar imports: the modules of this project that it imports, for types as well
    """

    name: str
    path: Path
    summary: str
    imports: frozenset[str]

    @property
    def is_package(self) -> bool:
        """Whether this is the C{__init__.py} of a package."""
        return self.path.name == "__init__.py"

    @property
    def group(self) -> str:
        """The package on the map that this belongs to: a program, or a noun of BOSH."""
        parts = self.name.split(".")
        depth = 3 if self.name.startswith(f"{DAEMON}.") else 2
        if len(parts) < depth or (len(parts) == depth and not self.is_package):
            return ".".join(parts[: depth - 1])
        return ".".join(parts[:depth])


def imports(tree: ast.Module, names: set[str]) -> Iterator[str]:
    """Return which of some modules a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module in names:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in names else node.module


def modules() -> list[Module]:
    """Return all modules of the project, sorted by name."""
    files = {}
    for path in sorted((ROOT / TOP).rglob("*.py")):
        relative = path.relative_to(ROOT)
        parts = relative.with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = relative
    found = []
    for name, path in sorted(files.items()):
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        summary = (ast.get_docstring(tree) or "").partition("\n")[0]
        found.append(Module(name, path, summary, frozenset(imports(tree, {*files}))))
    return found


def graph(known: list[Module]) -> dict[str, set[str]]:
    """Return for each group of modules the other groups that it imports."""
    groups = {module.name: module.group for module in known}
    edges: dict[str, set[str]] = {module.group: set() for module in known}
    for module in known:
        edges[module.group] |= {groups[name] for name in module.imports} - {module.group}
    return edges


def markdown(epytext: str) -> str:
    """Return a line of a docstring as Markdown that may be in a table."""
    quoted = re.sub(r"[CL]\{([^}<]*)(?:<[^}]*>)?\}", r"`\1`", epytext)
    return quoted.replace("|", r"\|")


def title(group: str) -> str:
    """Return the name of a group's directory."""
    return group.split(".")[-1] + "/"


def section(group: str, known: list[Module], imported: set[str]) -> Iterator[str]:
    """Write a group's part of the map: its purpose, its imports, a line for each module."""
    whole = {module.name: module for module in known}[group]
    yield f"### `{title(group)}`\n"
    yield f"{markdown(whole.summary)}\n"
    others = sorted(imported - {TOP}, key=position)
    if group != DAEMON and others:
        yield "Imports: " + ", ".join(f"`{title(name)}`" for name in others) + ".\n"
    yield "| | |\n|---|---|"
    for module in known:
        if module.group != group or module is whole:
            continue
        path = module.path.relative_to(whole.path.parent)
        label = f"{path.parent}/" if module.is_package else f"{path}"
        emphasis = "**" if module.is_package else ""
        link = f"[`{label}`](../{module.path})"
        yield f"| {emphasis}{link}{emphasis} | {markdown(module.summary)} |"
    yield ""


def position(group: str) -> tuple[int, str]:
    """Return a key to sort groups by: callers first, what all others need last."""
    return (ORDER.index(group) if group in ORDER else len(ORDER), group)


def written() -> dict[Path, str]:
    """Return the files that this program writes, as they should be."""
    known = modules()
    edges = graph(known)
    lines = [BEGIN, ""]
    for group in sorted(edges, key=position):
        lines += section(group, known, edges[group])
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page = before + "\n".join(lines) + END + after
    summaries = {
        module.name: markdown(module.summary).replace("`", "")
        for module in known
        if module.is_package
    }
    return {PAGE: page, IMAGE: drawing.svg(summaries, edges)}


def main() -> int:
    """Write what is out of date, or name it and return 1."""
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = []
    for path, text in written().items():
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(str(path.relative_to(ROOT)))
            if not check:
                path.write_text(text, "utf-8")
    for name in stale:
        print(f"{name} is not up to date: run {COMMAND}" if check else f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
