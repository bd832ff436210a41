"""docs/troubleshooting.md has the messages of the other pages, as they are in the code."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest

from tests.harness import texts

SCRIPT = texts.PACKAGE.parent / "docs" / "troubleshooting.py"


@pytest.fixture(scope="module")
def script() -> Any:
    """The program that writes the page, as a module."""
    spec = spec_from_file_location("troubleshooting", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Its dataclass looks for its own module, and it for one beside it.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        patch.setitem(sys.modules, "troubleshooting", module)
        spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    """Each message is in the code, and the page has all of them."""
    argv = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_nobody_says_is_found_out(script: Any) -> None:
    """A message that is in no text of the code is refused."""
    known = script.sources()
    assert "found_rules" in script.speaker("`… by another runc-cpid of this host …`", known)
    with pytest.raises(SystemExit, match="is in no text of the code"):
        script.speaker("`… by another runc-cpid of that host …`", known)
