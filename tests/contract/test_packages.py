"""Which package may import which: imports lead down, from the callers to the base."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import runc_cpi

PACKAGE = Path(runc_cpi.__file__).parent
DAEMON = "runc_cpi.daemon"
TOP = "runc_cpi"
# What both programs share: errors, JSON, their bytes on the wire, texts for a terminal.
SHARED = {
    f"{TOP}.{name}" for name in ("errors", "faults", "json_text", "printable", "wire")
}
# Values and pure functions that the host is told.  They may be used below where they are.
TOLD_TO_THE_HOST = {
    f"{DAEMON}.base.address_range",
    f"{DAEMON}.disks.disk",
    f"{DAEMON}.disks.paths",
    f"{DAEMON}.networks.blocks",
    f"{DAEMON}.networks.bridge_ports",
    f"{DAEMON}.networks.claims",
    f"{DAEMON}.networks.firewall",
    f"{DAEMON}.networks.model",
    f"{DAEMON}.networks.peers",
    f"{DAEMON}.networks.ports",
    f"{DAEMON}.networks.rules",
    f"{DAEMON}.networks.source_routes",
    f"{DAEMON}.stemcells.content",
    f"{DAEMON}.stemcells.image_reference",
    f"{DAEMON}.vms.device_rules",
    f"{DAEMON}.vms.spec.cgroup_path",
    f"{DAEMON}.vms.spec.confinement",
    f"{DAEMON}.vms.usage",
}
# A package, and which others it may import; all may import what is in SHARED.
MAY_IMPORT: dict[str, set[str]] = {
    "base": set(),
    "events": {"base"},
    "storage": {"base"},
    "config": {"base"},
    "networks": {"base", "storage"},
    "stemcells": {"base", "storage"},
    "disks": {"base", "storage"},
    "vms": {"base", "storage", "networks", "stemcells", "disks"},
    "reconcile": {"base", "storage", "networks", "stemcells", "disks", "vms"},
    "host": {"base", "storage"},
    "entrance": {"base", "config", "vms"},
    "rpc": {
        *("base", "config", "networks", "stemcells", "disks", "vms"),
        *("reconcile", "entrance", "events"),
    },
    "http": {
        *("base", "config", "storage", "networks", "stemcells", "disks", "vms"),
        *("entrance", "events"),
    },
    "doctor": {
        *("base", "config", "storage", "networks", "stemcells", "disks", "vms"),
        "host",
    },
    "status": {
        *("base", "config", "storage", "networks", "stemcells", "disks", "vms"),
        *("http", "events", "doctor"),
    },
    "listening": {"config"},
    "twistd": {"base"},
}
# These put all parts together, and are alone in knowing them.
KNOW_ALL = {
    f"{DAEMON}.{name}"
    for name in (
        *("tap", "daemon", "preflight", "trial"),
        *("assembly", "linux_host", "amp_port", "http_port", "metering", "status_page"),
    )
}
# The two other programs.  The operator's reaches the daemon as a CPI does.
PROGRAMS = {
    "runc_cpi.cpi": set[str](),
    "runc_cpi.ctl": {
        *("runc_cpi.cpi.client", "runc_cpi.cpi.config", "runc_cpi.cpi.images"),
        "runc_cpi.cpi.tls",
        # What needs no running daemon, or what only root of its host can do.
        *(f"{DAEMON}.config", f"{DAEMON}.doctor"),
        *(f"{DAEMON}.storage.{name}" for name in ("tree", "descent", "depot")),
        f"{DAEMON}.host.user_namespaces",
    },
}
# Who alone may use a library: the rest need not know how it is done.
KEPT_APART = {
    "twisted.protocols": (
        *(f"{DAEMON}.rpc", f"{DAEMON}.entrance", f"{DAEMON}.host.dns.stream"),
        f"{DAEMON}.host.dns.long_answers",
    ),
    "prometheus_client": (f"{DAEMON}.http.metrics",),
    "twisted.web": (f"{DAEMON}.http", f"{DAEMON}.status.answers"),
    "pyroute2": (f"{DAEMON}.host",),
    "yaml": (f"{DAEMON}.config.file", "runc_cpi.ctl", "runc_cpi.cpi.config"),
    "subprocess": (
        *(f"{DAEMON}.host", f"{DAEMON}.trial", f"{DAEMON}.doctor", "runc_cpi.ctl"),
    ),
    "ctypes": (f"{DAEMON}.host", f"{DAEMON}.storage.openat2"),
    "cryptography": (
        *(f"{DAEMON}.entrance.identity", f"{DAEMON}.config.certificates"),
        "runc_cpi.ctl.certificates",
        *(f"runc_cpi.ctl.director.{name}" for name in ("authorities", "renewal")),
    ),
    # The connection tells in the log why its TLS failed.
    "OpenSSL": (f"{DAEMON}.entrance.identity", f"{DAEMON}.rpc.bounded"),
    "ssl": ("runc_cpi.cpi.encrypted",),
    **dict.fromkeys(("click", "rich"), ("runc_cpi.ctl",)),
    # Private: each is used in one place, which can do without it.
    "_json": ("runc_cpi.json_text",),
    "_socket": ("runc_cpi.cpi.sockets",),
    "_ssl": ("runc_cpi.cpi.encrypted",),
    "posix": ("runc_cpi.cpi.__main__", "runc_cpi.cpi.tls"),
}


def name_of(path: Path) -> str:
    """Return the name of the module in a file."""
    parts = (TOP, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the modules that a file imports, wherever in it, for types alone as well."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def within(name: str, ancestor: str) -> bool:
    """Whether a module is another, or in it."""
    return name == ancestor or name.startswith(ancestor + ".")


def is_within(name: str, ancestors: set[str]) -> bool:
    """Whether a module is one of others, or in one."""
    return any(within(name, ancestor) for ancestor in ancestors)


def package_of(module: str) -> str:
    """Return the package of the daemon that a module is in, or the module itself."""
    name = module.removeprefix(f"{DAEMON}.").partition(".")[0]
    return name if within(module, DAEMON) and name in MAY_IMPORT else module


def may_import(module: str, imported: str) -> bool:
    """Whether the rules above let one of our modules import another."""
    if module in KNOW_ALL or imported in {TOP, *SHARED}:
        return True
    for program, known in PROGRAMS.items():
        if within(module, program):
            return is_within(imported, {program, *known})
    package, other = package_of(module), package_of(imported)
    if package == "host" and (
        imported in TOLD_TO_THE_HOST or imported.endswith(".interfaces")
    ):
        return True
    return other == package or other in MAY_IMPORT.get(package, set())


def graph() -> str:
    """
    Return the package graph as text: a line for each package, with forbidden imports
    marked.
    """
    known: dict[str, set[str]] = defaultdict(set)
    broken: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        for imported in imports(path):
            package, other = package_of(module), package_of(imported)
            if (
                within(imported, TOP)
                and other != package
                and imported not in {TOP, *SHARED}
            ):
                (known if may_import(module, imported) else broken)[package].add(other)
    lines = []
    for package in [*MAY_IMPORT, *sorted({*known, *broken} - MAY_IMPORT.keys())]:
        wrong = [f"!{name}" for name in sorted(broken[package])]
        named = " ".join([*wrong, *sorted(known[package] - broken[package])])
        lines.append(f"  {package.removeprefix(f'{DAEMON}.'):22} -> {named or '(nothing)'}")
    return "\n".join(lines)


def test_imports_lead_down() -> None:
    """
    Each package imports only those below it; only modules that put all together import all.
    """
    wrong = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        for imported in imports(path)
        if within(imported, TOP) and not may_import(module, imported)
    ]
    assert not wrong, "\n".join(["", *wrong, "", "who imports whom:", graph()])


def test_there_is_no_way_back() -> None:
    """The rules list packages from the ground up: each may import those before it."""
    above = list(MAY_IMPORT)
    while above:
        package = above.pop(0)
        assert not MAY_IMPORT[package] & {package, *above}, package


@pytest.mark.parametrize("library", KEPT_APART)
def test_libraries_are_kept_apart(library: str) -> None:
    """A library is imported only by the packages that are named for it."""
    for module, path in MODULES.items():
        if any(within(imported, library) for imported in imports(path)):
            assert is_within(module, set(KEPT_APART[library])), module


@pytest.mark.parametrize(
    "module", [name for name in MODULES if within(name, "runc_cpi.cpi")]
)
def test_the_executable_needs_the_standard_library_alone(module: str) -> None:
    """
    The executable imports only the standard library, and YAML if its configuration has it.
    """
    for imported in imports(MODULES[module]):
        top = imported.partition(".")[0]
        assert top in sys.stdlib_module_names | {TOP, "yaml"}, imported


@pytest.mark.parametrize("module", sorted(TOLD_TO_THE_HOST))
def test_what_the_host_is_told_is_pure(module: str) -> None:
    """What the host is told imports nothing that acts."""
    libraries = {"__future__", "collections", "dataclasses", "typing", "pathlib"}
    libraries |= {"functools", "hashlib", "ipaddress", "re", "typing_extensions"}
    for imported in imports(MODULES[module]):
        is_ours = imported in TOLD_TO_THE_HOST | {f"{TOP}.errors"}
        assert is_ours or imported.partition(".")[0] in libraries, imported


def test_the_reactor_is_chosen_late() -> None:
    """
    The reactor is an argument everywhere, since an import at the top would install one.
    """
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                assert "reactor" not in {alias.name for alias in node.names}, module


def test_every_module_says_what_it_is_for() -> None:
    """Each module has a docstring."""
    for module, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), module
