"""Who may know whom, and that the vocabulary between the two programs is complete."""

from __future__ import annotations

import ast
import keyword
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.protocols import amp

import runc_cpi
from runc_cpi import errors
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.complaints import Complaints
from runc_cpi.daemon.rpc.factory import CPIFactory
from runc_cpi.daemon.rpc.protocol import CPIProtocol, Domain
from tests.contract.peers import COMMANDS

PACKAGE = Path(runc_cpi.__file__).parent
DAEMON = "runc_cpi.daemon"
SHARED = {"runc_cpi", "runc_cpi.errors"}
# Domain modules that compute and do nothing else: the drivers may use them too.
PURE = {
    f"{DAEMON}.domain.{name}"
    for name in (
        *("agent_settings", "bundle", "device_rules", "disk", "interfaces"),
        "networks",
    )
}
PURE_LIBRARIES = {"__future__", "collections", "dataclasses", "typing"} | {
    "ipaddress",
    "pathlib",
}
# By the beginning of a module's name, the longest first: what else of us it may import;
# None stands for all.
ALLOWED: dict[str, set[str] | None] = {
    f"{DAEMON}.service": None,
    f"{DAEMON}.trial": None,
    f"{DAEMON}.config": {f"{DAEMON}.config"},
    f"{DAEMON}.tls": {f"{DAEMON}.config", f"{DAEMON}.rpc.complaints"},
    f"{DAEMON}.log": {"runc_cpi.printable"},
    f"{DAEMON}.storage": SHARED | {f"{DAEMON}.storage"},
    f"{DAEMON}.domain": SHARED | {f"{DAEMON}.domain", f"{DAEMON}.storage"},
    f"{DAEMON}.drivers": SHARED
    | {f"{DAEMON}.drivers", f"{DAEMON}.storage.tree", "runc_cpi.printable"}
    | PURE,
    f"{DAEMON}.rpc.complaints": set(),
    f"{DAEMON}.rpc.refusals": SHARED | {"runc_cpi.wire"},
    f"{DAEMON}.rpc.access": {f"{DAEMON}.domain.interfaces", f"{DAEMON}.domain.vm"},
    f"{DAEMON}.rpc.encryption": set(),
    f"{DAEMON}.rpc.strangers": {f"{DAEMON}.rpc.access", f"{DAEMON}.rpc.complaints"},
    f"{DAEMON}.rpc.bounded": SHARED
    | {f"{DAEMON}.config", f"{DAEMON}.passed"}
    | {f"{DAEMON}.rpc.{name}" for name in ("complaints", "encryption", "refusals")},
    f"{DAEMON}.rpc.commands": SHARED | {"runc_cpi.wire"},
    f"{DAEMON}.rpc": SHARED
    | {f"{DAEMON}.{name}" for name in ("rpc", "domain", "log", "config", "passed")},
    DAEMON: set(),
    "runc_cpi.cpi": SHARED | {"runc_cpi.wire", "runc_cpi.cpi"},
    # It reaches the daemon as a CPI does, so it reads a CPI's configuration.
    "runc_cpi.ctl": SHARED
    | {"runc_cpi.ctl", "runc_cpi.printable", "runc_cpi.cpi.config", "runc_cpi.cpi.tls"}
    | {f"{DAEMON}.config", f"{DAEMON}.rpc.commands"},
    "runc_cpi.errors": set(),
    "runc_cpi.printable": set(),
    "runc_cpi.wire": set(),
    "runc_cpi": set(),
}
# Who alone may use a library: the rest need not know how it is done.
KEPT_APART = {
    "twisted.protocols": (f"{DAEMON}.rpc", "runc_cpi.ctl"),
    "pyroute2": (f"{DAEMON}.drivers",),
    "yaml": (f"{DAEMON}.config.file", "runc_cpi.ctl", "runc_cpi.cpi.config"),
    "subprocess": (f"{DAEMON}.drivers", "runc_cpi.ctl"),
    "ctypes": (f"{DAEMON}.drivers", f"{DAEMON}.storage.openat2"),
    "cryptography": (f"{DAEMON}.tls", "runc_cpi.ctl.certs"),
    # The connection tells in the log why its TLS failed.
    "OpenSSL": (f"{DAEMON}.tls", f"{DAEMON}.rpc.bounded", "runc_cpi.ctl"),
    "ssl": ("runc_cpi.cpi",),
}


def name_of(path: Path) -> str:
    """Return the name of the module in a file."""
    parts = ("runc_cpi", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> Iterator[str]:
    """Return the modules that a file imports, wherever in it, but not for types alone."""
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module
        else:
            waiting += ast.iter_child_nodes(node)


def within(name: str, ancestor: str) -> bool:
    """Whether a module is another, or in it."""
    return name == ancestor or name.startswith(ancestor + ".")


@pytest.mark.parametrize("module", MODULES)
def test_directions(module: str) -> None:
    """Each part knows those below it; only what puts all together knows all."""
    allowed = next(ALLOWED[prefix] for prefix in ALLOWED if within(module, prefix))
    for imported in imports(MODULES[module]):
        if allowed is not None and within(imported, "runc_cpi"):
            # The package itself holds its version alone: to know it is not to know all.
            known = [name for name in allowed - {"runc_cpi"} if within(imported, name)]
            assert known or imported == "runc_cpi", f"{module} imports {imported}"


@pytest.mark.parametrize("library", KEPT_APART)
def test_libraries_are_kept_apart(library: str) -> None:
    """AMP is known to the responders alone, netlink to a driver, and so on."""
    for module, path in MODULES.items():
        if any(within(imported, library) for imported in imports(path)):
            assert any(within(module, name) for name in KEPT_APART[library]), module


@pytest.mark.parametrize(
    "module", [name for name in MODULES if within(name, "runc_cpi.cpi")]
)
def test_the_executable_needs_the_standard_library_alone(module: str) -> None:
    """But for YAML, which is loaded when a configuration is written in it."""
    for imported in imports(MODULES[module]):
        top = imported.partition(".")[0]
        assert top in sys.stdlib_module_names | {"runc_cpi", "yaml"}, imported


def test_pure_modules_are_pure() -> None:
    """They import nothing that acts, but for the interface of what does."""
    for module in PURE - {f"{DAEMON}.domain.interfaces"}:
        imported = set(imports(MODULES[module])) - PURE - {"runc_cpi.errors"}
        tops = {name.partition(".")[0] for name in imported}
        assert tops <= PURE_LIBRARIES, module


def test_the_reactor_is_chosen_late() -> None:
    """It is an argument everywhere; an import at the top would install one."""
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                assert "reactor" not in {alias.name for alias in node.names}, module


def test_every_module_says_what_it_is_for() -> None:
    """In its first line."""
    for module, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), module


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands(command: type[amp.Command]) -> None:
    """Each is documented, named like its class and answered by a responder."""
    assert command.__doc__
    assert command.__doc__ != amp.Command.__doc__
    assert command.commandName == command.__name__.encode()
    # Not an instance attribute is needed to look a responder up.
    domain = Domain(stemcells=None, vms=None, disks=None, snapshots=None, keeper=None)  # type: ignore[arg-type]
    clock = Clock()
    complaints = Complaints(clock.seconds)
    house = CPIFactory(domain, LimitsConfig(), complaints, clock)
    protocol = CPIProtocol(domain, LimitsConfig(), clock, complaints, house)
    assert protocol.locateResponder(command.commandName) is not None


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_arguments(command: type[amp.Command]) -> None:
    """Each command carries a request's id, and no name needs translation."""
    names = [name.decode() for name, _ in command.arguments]
    assert names.count("request_id") == 1
    for name in names + [name.decode() for name, _ in command.response]:
        assert name.isidentifier()
        assert not keyword.iskeyword(name.lower())
        assert not name.startswith("_")
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_errors_of_commands(command: type[amp.Command]) -> None:
    """Every command may end with every error, under its own name, and stay connected."""
    declared = {error: code.decode() for error, code in command.errors.items()}
    assert declared == {error: error.__name__ for error in errors.ALL}
    assert command.fatalErrors == {}


def test_errors_are_found_by_their_own_class() -> None:
    """AMP takes the first that matches, so subclasses come before their bases."""
    order = list(commands.WIRE_ERRORS)
    for later, error in enumerate(order):
        for earlier in order[:later]:
            assert not issubclass(error, earlier), f"{earlier} hides {error}"


def test_errors_of_all_modules_are_listed() -> None:
    """An error that is defined elsewhere would not cross the wire."""
    waiting, found = [errors.CPIError], set()
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting += kind.__subclasses__()
    ours = {kind for kind in found if within(kind.__module__, "runc_cpi")}
    assert ours == set(errors.ALL) == set(commands.WIRE_ERRORS)
