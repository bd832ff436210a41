"""That no fake is without a behaviour, which runs on it and on this host."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from zope.interface import implementedBy
from zope.interface.interface import InterfaceClass

import runc_cpi
from tests.behaviour import test_fakes, test_this_host
from tests.behaviour.case import HostCase

TESTS = Path(__file__).parents[1]
FAKES = TESTS / "fakes"
INTERFACES = [
    path.parent.name
    for path in sorted(Path(runc_cpi.__file__).parent.glob("daemon/*/interfaces.py"))
]


def ours() -> set[InterfaceClass]:
    """Return the interfaces between the daemon and its host."""
    modules = [
        importlib.import_module(f"runc_cpi.daemon.{package}.interfaces")
        for package in INTERFACES
    ]
    return {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, InterfaceClass) and value.__module__ == module.__name__
    }


def faked() -> set[InterfaceClass]:
    """Return those that a class in tests/fakes implements."""
    modules = [
        importlib.import_module(f"tests.fakes.{path.stem}")
        for path in sorted(FAKES.glob("*.py"))
        if path.stem != "__init__"
    ]
    classes = [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    return ours() & {found for value in classes for found in implementedBy(value)}


def verified(module: ModuleType) -> set[InterfaceClass]:
    """Return those that a module of tests verifies, with at least one test of each."""
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, HostCase)
        and value.__module__ == module.__name__
        and any(name.startswith("test_") for name in dir(value))
    ]
    return {interface for value in classes for interface in value.interfaces}


def test_every_fake_is_verified() -> None:
    """Each interface with a fake has a behaviour, run on the fake and on this host."""
    assert faked()
    assert faked() <= verified(test_fakes)
    assert faked() <= verified(test_this_host)


def implemented(path: Path) -> Iterator[str]:
    """Return the names of the interfaces that classes in a file implement."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and "implementer" in ast.dump(
                decorator.func
            ):
                yield from (arg.id for arg in decorator.args if isinstance(arg, ast.Name))


def test_fakes_are_in_one_place() -> None:
    """No other module of the tests has a fake of its own."""
    names = {interface.__name__ for interface in ours()}
    for path in TESTS.rglob("*.py"):
        if path.parent != FAKES:
            assert not names & set(implemented(path)), path
