"""
Writes docs/methods.md from the code: the CPI's methods, and the errors that they answer.

C{python docs/methods.py} writes it, C{python docs/methods.py --check} only says whether it
is up to date.  What a method takes and which commands it sends is read in
C{runc_cpi.cpi.methods}.  Its errors are those that the docstrings of what answers these
commands name with C{@raise}.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import generated

from runc_cpi import errors
from runc_cpi.cpi import arguments, images, request
from runc_cpi.cpi import methods as cpi
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.responders.disks import DiskResponders
from runc_cpi.daemon.rpc.responders.networks import NetworkResponders
from runc_cpi.daemon.rpc.responders.stemcells import StemcellResponders
from runc_cpi.daemon.rpc.responders.vms import VMResponders

PAGE = Path(__file__).resolve().with_name("methods.md")
RESPONDERS = (VMResponders, DiskResponders, NetworkResponders, StemcellResponders)
HEAD = """# The CPI's methods

What BOSH can call, in versions {versions} of the contract.
[architecture.md](architecture.md#one-call) says how a call is carried out,
[troubleshooting.md](troubleshooting.md) what to do about messages.

An argument in brackets may be left out. The commands are those of
[`daemon/rpc/commands/`](../runc_cpi/daemon/rpc/commands). A client in `viewing_clients` may
call only what changes nothing. Each method can also fail with `InvalidArgument`, and each
that needs the daemon with
{anywhere}.
"""
AGAIN = """`ok_to_retry` is true of those with a *yes*: the same call may succeed later.
"""
# What a call meets on its way, whichever it is.
ANYWHERE = (
    "DaemonUnreachable",
    "TLSRejected",
    "AccessRefused",
    "HostShort",
    "InternalError",
)
USUAL = {"InvalidArgument", *ANYWHERE}
RAISE = re.compile(r"@raise (\w+): (.*?)(?=\n\s*@|\Z)", re.S)
CALLS = {"call", "call_with_file", "send_stream"}


@dataclass
class Method:
    """
    What the code says of a method.

    @ivar name: the contract's name of it.
    @ivar about: its docstring.
    @ivar takes: the name and the kind of each argument.
    @ivar optional: how many of the last may be left out.
    @ivar sends: the commands that the daemon may be sent.
    @ivar fails: the errors that this method may end with, beside those of all.
    """

    name: str
    about: str
    takes: list[tuple[str, str]] = field(default_factory=list)
    optional: int = 0
    sends: list[str] = field(default_factory=list)
    fails: list[str] = field(default_factory=list)


def tree_of(function: Any) -> ast.AST:
    """Return the syntax tree of a function."""
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def called(function: Any) -> Iterator[tuple[str, str, ast.Call]]:
    """Return each C{whose.name(...)} and C{self._whose.name(...)} in a function."""
    for node in ast.walk(tree_of(function)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            whose = ast.unparse(node.func.value)
            yield whose.removeprefix("self._"), node.func.attr, node


def read(method: Method, function: Any) -> None:
    """Note what a function of the executable takes, sends and raises."""
    for whose, name, node in called(function):
        if (whose, name) == ("self", "_take"):
            pairs = [each.elts for each in node.args if isinstance(each, ast.Tuple)]
            method.takes += [(ast.literal_eval(a), ast.unparse(kind)) for a, kind in pairs]
            method.optional = sum(ast.literal_eval(word.value) for word in node.keywords)
        elif whose == "client" and name in CALLS:
            method.sends.append(ast.literal_eval(node.args[0]))
        elif whose == "images":
            read(method, getattr(images, name))
        elif whose == "self" and name in vars(cpi.Methods):
            read(method, vars(cpi.Methods)[name])
    for node in ast.walk(tree_of(function)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            method.fails.append(ast.unparse(node.exc.func))


def raised(function: Any, owner: type) -> Iterator[str]:
    """
    Return the errors that a docstring names.

    C{as L{other} does} and C{as L{Class.other} does} stand for all of another function.
    """
    for name, when in RAISE.findall(inspect.getdoc(function) or ""):
        like = re.search(r"as L\{(?:(\w+)\.)?(\w+)\} does", when)
        if like:
            other = function.__globals__[like[1]] if like[1] else owner
            yield from raised(getattr(other, like[2]), other)
        elif name in errors.BY_CODE:
            yield name


def answered(command: str) -> Iterator[str]:
    """Return the errors of what the daemon does for a command."""
    for owner in RESPONDERS:
        _, responder = owner._commandDispatch.get(command.encode("ascii"), (None, None))
        if responder is not None:
            hints = get_type_hints(owner.__init__)
            for whose, name, _ in called(responder):
                kind = hints.get(whose) or responder.__globals__.get(whose)
                if inspect.isclass(kind) and hasattr(kind, name):
                    yield from raised(getattr(kind, name), kind)


def methods() -> Iterator[Method]:
    """Return all methods, in the order of the code."""
    yield Method("info", inspect.getdoc(request.info) or "")
    for name, function in vars(cpi.Methods).items():
        if not name.startswith("_"):
            method = Method(name, inspect.getdoc(function) or "")
            read(method, function)
            for command in method.sends:
                method.fails += answered(command)
            fails = dict.fromkeys(method.fails)
            method.fails = [each for each in fails if each not in USUAL]
            yield method


def plain(docstring: str | None) -> str:
    """Return the first paragraph of a docstring as one line of Markdown for a table."""
    line = " ".join((docstring or "").strip().split("\n\n")[0].split())
    return re.sub(r"[CL]\{([^}]*)\}", r"`\1`", line).replace("|", r"\|")


def quoted(names: Any, between: str = ", ") -> str:
    """Return names as code."""
    return between.join(f"`{name}`" for name in names)


def row(method: Method) -> str:
    """Return a method's line of the table."""
    names = [name for name, _ in method.takes]
    needed = len(names) - method.optional
    takes = [*names[:needed], *(f"[{name}]" for name in names[needed:])]
    cells = (quoted([method.name]), quoted(takes), plain(method.about))
    return "| " + " | ".join((*cells, quoted(method.sends), quoted(method.fails))) + " |"


def page() -> str:
    """Return the page."""
    known = list(methods())
    versions = ", ".join(map(str, request.API_VERSIONS[:-1]))
    head = HEAD.format(
        versions=f"{versions} and {request.API_VERSIONS[-1]}",
        anywhere=quoted(ANYWHERE[:-1]) + f" and `{ANYWHERE[-1]}`",
    )
    lines = [head, "| method | arguments | | commands | errors |", "|---|---|---|---|---|"]
    lines += map(row, known)
    looking = [
        method.name
        for method in known
        if method.sends and all(getattr(commands, name).looks for name in method.sends)
    ]
    lines += ["", f"These change nothing: {quoted(looking)}.", "", "## Arguments", ""]
    lines += ["| argument | of | must be |", "|---|---|---|"]
    takers: dict[tuple[str, str], list[str]] = {}
    for method in known:
        for argument in method.takes:
            takers.setdefault(argument, []).append(method.name)
    for (name, kind), of in takers.items():
        about = plain(inspect.getdoc(getattr(arguments, kind)))
        lines.append(f"| `{name}` | {quoted(of)} | {about} |")
    lines += [
        "",
        "## Errors",
        "",
        AGAIN,
        "| error | the type that BOSH is told | again | |",
    ]
    lines += ["|---|---|---|---|"]
    for error in errors.ALL:
        again = "yes" if error.ok_to_retry else ""
        about = plain(inspect.getdoc(error))
        lines.append(f"| `{error.__name__}` | `{error.bosh_type}` | {again} | {about} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or check it."""
    generated.keep(PAGE, page(), __file__)


if __name__ == "__main__":
    main()
