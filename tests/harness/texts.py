"""The texts in the code, to compare with what the documentation quotes."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import runc_cpi

PACKAGE = Path(runc_cpi.__file__).parent
# Stands for what is put into a text.
FILLED = "\0"


def of_module(path: Path) -> str:
    """Return all texts of a module, one a line, without what is put into them."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (part for part in node.values if isinstance(part, ast.Constant))
            texts.append(FILLED.join(str(part.value) for part in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return "\n".join(texts)


@cache
def by_module() -> dict[Path, str]:
    """Return the texts of each module of the project."""
    return {path: of_module(path) for path in sorted(PACKAGE.rglob("*.py"))}
