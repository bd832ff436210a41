"""The executable's modules run on Python 3.9, whatever Python runs this test."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

import runc_cpi

PACKAGE = Path(runc_cpi.__file__).parent
MODULES = sorted(
    [
        PACKAGE / f"{name}.py"
        for name in ("__init__", "errors", "faults", "json_text", "wire")
    ]
    + list((PACKAGE / "cpi").glob("*.py"))
)
# What the modules use of the standard library, each looked up in the library
# reference: nothing in it is newer than 3.9.  Look up what is added here.
KNOWN_ATTRIBUTES = {
    "errno": {"EHOSTUNREACH", "ENETUNREACH"},
    "json": {"dumps", "loads"},
    "os": {
        "O_CREAT",
        "O_EXCL",
        "O_NOFOLLOW",
        "O_RDWR",
        "close",
        "memfd_create",
        "open",
        "stat",
        "unlink",
        "urandom",
        "write",
    },
    "select": {"POLLIN", "POLLOUT", "poll"},
    "socket": {
        "AF_UNIX",
        "IPPROTO_TCP",
        "SCM_RIGHTS",
        "SOCK_STREAM",
        "SOL_SOCKET",
        "SO_KEEPALIVE",
        "SO_SNDTIMEO",
        "TCP_KEEPIDLE",
        "TCP_NODELAY",
        "getaddrinfo",
        "socket",
        "timeout",
    },
    "ssl": {
        "CERT_REQUIRED",
        "PROTOCOL_TLS_CLIENT",
        "SSLCertVerificationError",
        "SSLEOFError",
        "SSLError",
        "SSLZeroReturnError",
        "_SSLContext",
    },
    "stat": {"S_ISREG"},
    "sys": {"argv", "byteorder", "maxsize", "stderr", "stdin", "stdout"},
    "time": {"monotonic", "sleep"},
}
NEW_BUILTINS = {"aiter", "anext", "EncodingWarning", "BaseExceptionGroup", "ExceptionGroup"}
NEW_METHODS = {"bit_count", "add_note"}
NEW_KEYWORDS = {("zip", "strict"), ("map", "strict")}


def parsed(path: Path) -> ast.Module:
    """Parse a module with the grammar of Python 3.9."""
    return ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 9))


def runtime_nodes(module: ast.Module) -> Iterator[ast.AST]:
    """
    Walk what is executed.

    Annotations are never evaluated, nor is what only a type checker reads.
    """
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns"):
                continue
            children = value if isinstance(value, list) else [value]
            waiting += [child for child in children if isinstance(child, ast.AST)]


@pytest.fixture(params=MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def module(request: pytest.FixtureRequest) -> ast.Module:
    """Each module in turn."""
    return parsed(request.param)


def test_the_grammar_is_old_enough(module: ast.Module) -> None:
    """No C{match}, no C{except*}, and no annotation that is evaluated."""
    for node in ast.walk(module):
        assert type(node).__name__ not in ("Match", "TryStar"), ast.dump(node)
    if any(isinstance(node, (ast.FunctionDef, ast.AnnAssign)) for node in ast.walk(module)):
        assert "from __future__ import annotations" in map(ast.unparse, module.body)


def test_no_newer_name_is_used(module: ast.Module) -> None:
    """Builtins, methods and keywords that 3.10 and later brought are not there."""
    for node in runtime_nodes(module):
        if isinstance(node, ast.Name):
            assert node.id not in NEW_BUILTINS
        if isinstance(node, ast.Attribute):
            assert node.attr not in NEW_METHODS
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            used = {(node.func.id, keyword.arg) for keyword in node.keywords}
            assert not used & NEW_KEYWORDS


def test_types_are_not_joined_at_run_time(module: ast.Module) -> None:
    """C{isinstance(x, int | str)} is of 3.10."""
    for node in runtime_nodes(module):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            types = {n for n in names if isinstance(getattr(builtins, n, None), type)}
            assert not types, ast.unparse(node)


def test_what_is_used_of_the_library_was_looked_up(module: ast.Module) -> None:
    """Each name of a standard module is among those known to be old enough."""
    imported = {
        alias.asname or alias.name
        for node in runtime_nodes(module)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in runtime_nodes(module):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        name = node.value.id
        if name in imported - {"yaml"}:
            assert node.attr in KNOWN_ATTRIBUTES[name], f"{name}.{node.attr}"
