"""
What drawings are made of, as SVG: boxes with text, arrows, and their style.

Lengths are in pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

PADDING = 12  # within a box, and around the nouns
LINE = 16
LETTER = 7  # the width of a letter, with room to spare

LIGHT = """\
text { font: 12px "DejaVu Sans", Verdana, "Segoe UI", Helvetica, Arial, sans-serif; }
text { fill: #57606a; }
.name { font-size: 14px; font-weight: bold; fill: #1f2328; }
.part { font-weight: bold; }
.label { font-style: italic; }
.step { fill: #1f2328; }
.number { font-size: 11px; font-weight: bold; text-anchor: middle; fill: #ffffff; }
.page { fill: #ffffff; }
.frame { fill: #f6f8fa; stroke: #d0d7de; }
.group { fill: #ddf4ff; stroke: #54aeff; }
.box { fill: #ffffff; stroke: #8c959f; }
.noun { stroke: #0969da; stroke-width: 1.5; }
.host { stroke: #1a7f37; stroke-width: 1.5; }
.import { fill: none; stroke: #8c959f; stroke-width: 1.4; }
.implement { fill: none; stroke: #1a7f37; stroke-width: 1.6; stroke-dasharray: 6 4; }
.call { fill: none; stroke: #bc4c00; stroke-width: 3; }
.import-head { fill: #8c959f; }
.implement-head { fill: #1a7f37; }
.call-head { fill: #bc4c00; }
"""
DARK = """\
text { fill: #9198a1; }
.name, .step { fill: #f0f6fc; }
.number { fill: #0d1117; }
.page { fill: #0d1117; }
.frame { fill: #151b23; stroke: #3d444d; }
.group { fill: #11233b; stroke: #1f6feb; }
.box { fill: #0d1117; stroke: #656c76; }
.noun { stroke: #4493f8; }
.host { stroke: #3fb950; }
.import { stroke: #9198a1; }
.implement { stroke: #3fb950; }
.call { stroke: #f0883e; }
.import-head { fill: #9198a1; }
.implement-head { fill: #3fb950; }
.call-head { fill: #f0883e; }
"""


@dataclass(frozen=True)
class Box:
    """
    A rectangle with a heading and lines of text.

    @ivar kind: the classes of its style
    """

    x: float
    y: float
    width: float
    height: float
    heading: str
    lines: tuple[str, ...] = ()
    kind: str = "box"

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    @property
    def center(self) -> tuple[float, float]:
        """Its center, from the left and from above."""
        return self.x + self.width / 2, self.y + self.height / 2

    def nearest(self, x: float) -> float:
        """Return the place on its edge that is nearest to a place from the left."""
        return min(max(x, self.x + PADDING), self.right - PADDING)

    def elements(self) -> Iterator[str]:
        """Return the rectangle and its text."""
        yield rectangle(self.x, self.y, self.width, self.height, self.kind)
        yield text(self.x + PADDING, self.y + 20, self.heading, "name")
        for index, line in enumerate(self.lines):
            yield text(self.x + PADDING, self.y + 40 + index * LINE, line)


def rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Return a rectangle with round corners."""
    size = f'width="{width:g}" height="{height:g}"'
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" {size} rx="6"/>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Return a line of text."""
    style = (f' class="{kind}"' if kind else "") + f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}"{style}>{escape(words, quote=False)}</text>'


def arrow(kind: str, *points: tuple[float, float]) -> str:
    """Return a line through points, with a head at its end."""
    way = " L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="{kind}" marker-end="url(#{kind}-head)" d="M{way}"/>'


def head(kind: str, size: int) -> str:
    """Define the head of a kind of arrow."""
    place = f'refX="8" refY="4" markerWidth="{size}" markerHeight="{size}"'
    return (
        f'<marker id="{kind}-head" viewBox="0 0 8 8" {place} markerUnits="userSpaceOnUse"'
        f' orient="auto"><path class="{kind}-head" d="M0 0 L8 4 L0 8 Z"/></marker>'
    )


def disc(x: float, y: float, step: int) -> str:
    """Return the number of a step in a disc."""
    circle = f'<circle class="call-head" cx="{x:g}" cy="{y:g}" r="9"/>'
    return circle + text(x, y + 4, str(step), "number", "middle")


def wrapped(words: str, width: float, most: int = 3) -> tuple[str, ...]:
    """Return a text as lines that fit into a width, at most so many."""
    letters = int((width - 2 * PADDING) / LETTER)
    return tuple(textwrap.wrap(words, letters, max_lines=most, placeholder=" …"))
