"""The page as a file: it needs nothing else, takes no text for markup, and is whole."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from runc_cpi.daemon.status import page

NODE = shutil.which("node")
# What takes text for markup or for a program, and what the policy forbids.
FORBIDDEN = (
    *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc"),
    *("new Function", "DOMParser", "createContextualFragment", 'setTimeout("'),
    *(".style.", "localStorage", "XMLHttpRequest", "import("),
)
TEXT = page.content().decode("utf-8")


class Page(HTMLParser):
    """
    Reads the page.

    @ivar ids: the ids of its elements.
    @ivar elements: names and attributes of its elements.
    @ivar contents: the texts in its C{script} and C{style}.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, str] = {}
        self._within = ""
        self.feed(TEXT)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        found = dict(attrs)
        self.elements.append((tag, found))
        self._within = tag
        if found.get("id"):
            self.ids.append(str(found["id"]))

    def handle_data(self, data: str) -> None:
        """Note what is in an element."""
        if self._within in ("script", "style"):
            self.contents[self._within] = self.contents.get(self._within, "") + data

    def handle_endtag(self, tag: str) -> None:
        """Be outside of an element."""
        self._within = ""


PAGE = Page()
SCRIPT = PAGE.contents["script"]


def test_the_policy_lets_the_page_run_and_nothing_else() -> None:
    """The hashes are those that a browser makes of the script and the style."""
    for name in ("script", "style"):
        digest = sha256(PAGE.contents[name].encode("utf-8")).digest()
        told = f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'"
        assert told in page.policy().split("; ")
    assert page.policy().startswith("default-src 'none'; ")
    assert "unsafe" not in page.policy()


def test_nothing_is_fetched_from_elsewhere() -> None:
    """There is no address in it but those of namespaces, and none that leads outside."""
    addresses = set(re.findall(r"https?://[^\s'\"]+", TEXT))
    assert addresses == {"http://www.w3.org/2000/svg"}
    for name, attributes in PAGE.elements:
        assert name not in ("iframe", "object", "embed", "base", "img"), name
        assert "src" not in attributes and "style" not in attributes, attributes
        assert not [key for key in attributes if key.startswith("on")], attributes
        if name == "link":
            assert str(attributes["href"]).startswith("data:")
        elif "href" in attributes:
            assert str(attributes["href"]).startswith("#")


def test_no_text_becomes_markup() -> None:
    """What VMs have written is never parsed."""
    code = re.sub(r"^//.*$", "", SCRIPT, flags=re.MULTILINE)
    assert not [word for word in FORBIDDEN if word in code]


def test_ids() -> None:
    """Ids are there once, and what the script and labels name is there."""
    assert len(PAGE.ids) == len(set(PAGE.ids))
    named = set(re.findall(r"\$\(\"([\w-]+)\"\)", SCRIPT))
    tables = re.findall(r"new Table\(\"(\w+)\"", SCRIPT)
    assert len(tables) == 6
    named |= {f"{name}-{part}" for name in tables for part in ("table", "none")}
    for _, attributes in PAGE.elements:
        named |= {str(attributes[key]) for key in ("for", "list") if key in attributes}
        named |= set((attributes.get("aria-labelledby") or "").split())
    assert named - set(PAGE.ids) == set()


def test_every_input_has_a_label() -> None:
    """Whoever does not see the page is told what an input is."""
    labelled = {
        attributes.get("for") for name, attributes in PAGE.elements if name == "label"
    }
    inputs = [attributes for name, attributes in PAGE.elements if name == "input"]
    assert len(inputs) == 4
    assert all(attributes["id"] in labelled for attributes in inputs)
    assert ("html", {"lang": "en"}) in PAGE.elements


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))


def _luminance(colour: str) -> float:
    """Return how light a colour is (WCAG 2.2, relative luminance)."""
    digits = colour[1:]
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme: str) -> None:
    """Texts have 4.5, and lines of charts and edges of inputs 3 (WCAG 2.2, AA)."""
    light, dark = re.findall(r":root \{(.*?)\}", PAGE.contents["style"], re.DOTALL)
    colours = _colours(light if scheme == "light" else dark)
    low = [
        (front, back, contrast(colours[front], colours[back]))
        for back in ("surface", "raised", "ground")
        for front, least in (
            *((name, 4.5) for name in ("text", "muted", "link", "good", "warn", "bad")),
            *((name, 3) for name in ("cpu", "memory", "received", "sent", "edge", "focus")),
        )
        if contrast(colours[front], colours[back]) < least
    ]
    assert not low


@pytest.mark.skipif(NODE is None, reason="needs node, to read JavaScript")
def test_syntax(tmp_path: Path) -> None:
    """The script is JavaScript."""
    assert NODE is not None
    file = tmp_path / "page.mjs"
    file.write_text(SCRIPT, "utf-8")
    done = subprocess.run(
        [NODE, "--check", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
