"""
Draws the packages, what they import, and the path of one call, as SVG.

The place of each box is written here, since it is a matter of taste.  Its text is the first
line of the package's docstring, and the arrows are the imports in the code.
"""

from __future__ import annotations

from collections.abc import Iterator

from graph import without_implied
from shapes import (
    DARK,
    LIGHT,
    LINE,
    PADDING,
    Box,
    arrow,
    disc,
    head,
    rectangle,
    text,
    wrapped,
)

SHARED = "runc_cpi"
CPI = f"{SHARED}.cpi"
CTL = f"{SHARED}.ctl"
DAEMON = f"{SHARED}.daemon"
HOST = f"{DAEMON}.host"

# A package of the daemon: its row, its first column, and how many columns it spans.
PLACES = {
    "rpc": (0, 0, 2),
    "status": (0, 2, 1),
    "http": (1, 2, 1),
    "entrance": (2, 0, 1),
    "doctor": (2, 1, 1),
    "reconcile": (2, 2, 1),
    "vms": (3, 0, 3),
    "networks": (4, 0, 1),
    "stemcells": (4, 1, 1),
    "disks": (4, 2, 1),
    "config": (5, 0, 1),
    "events": (5, 1, 1),
    "storage": (5, 2, 1),
    "base": (6, 0, 3),
}
NOUNS = ("vms", "stemcells", "disks", "networks")
# The path that the drawing shows.
STEPS = (
    "The director starts runc-cpi and writes the call create_vm to its stdin.",
    "cpi checks the request and makes one AMP call. entrance lets the connection in.",
    "rpc decodes the arguments and calls vms.",
    "vms finds the stemcell and the disks, and claims the addresses.",
    "host makes the bundle, runs runc create, connects the network, and runs runc start.",
    "vms writes vm.json. Now the VM exists, and the answer goes back to the director.",
)
TITLE = "The packages of runc-cpi, their imports, and the path of create_vm"
DESCRIPTION = (
    "The programs runc-cpi and runc-cpictl call the daemon over AMP. In the daemon, rpc"
    " imports entrance and reconcile, these import the packages of BOSH's nouns (vms, and"
    " below it stemcells, disks and networks), and those import storage and base. The"
    " package doctor looks at the host for runc-cpictl and at each start. Browsers and"
    " others who look come by http, where status has its page. The"
    " package host stands apart and implements the interfaces that the others declare."
    " The call create_vm goes from the director to cpi, rpc, vms, host and runc."
)

# Lengths are in pixels.
WIDTH = 1040
MARGIN = 24  # around the frame of the daemon
LEFT = 72  # of the first column
COLUMN = 200
GAP = 18  # between columns
ROW_GAP = 40
RIGHT = LEFT + 3 * COLUMN + 2 * GAP
HOST_LEFT = RIGHT + 84
HOST_WIDTH = WIDTH - MARGIN - 16 - HOST_LEFT


def packages() -> tuple[str, ...]:
    """Return the daemon's packages, from the callers down, with the host at the end."""
    return (*(f"{DAEMON}.{name}" for name in PLACES), HOST)


def placed(summaries: dict[str, str], top: float) -> dict[str, Box]:
    """Return the boxes of the daemon's packages but the host, in rows from C{top} down."""
    boxes: dict[str, Box] = {}
    for row in sorted({row for row, _, _ in PLACES.values()}):
        names = [name for name, place in PLACES.items() if place[0] == row]
        widths = {name: PLACES[name][2] * (COLUMN + GAP) - GAP for name in names}
        lines = {
            name: wrapped(summaries[f"{DAEMON}.{name}"], widths[name], 4) for name in names
        }
        height = 36 + LINE * max(map(len, lines.values()))
        for name in names:
            x = LEFT + PLACES[name][1] * (COLUMN + GAP)
            kind = "box noun" if name in NOUNS else "box"
            boxes[name] = Box(x, top, widths[name], height, name, lines[name], kind)
        top += height + ROW_GAP
    return boxes


def imports(boxes: dict[str, Box], edges: dict[str, set[str]]) -> Iterator[str]:
    """
    Return the arrows between the boxes of the daemon, which all lead down.

    An arrow to a row further down goes around the left side, and to a box that is not the
    first of its row by the gap above it.
    """
    known = {f"{DAEMON}.{name}": name for name in boxes}
    inner = {name: others & known.keys() for name, others in edges.items() if name in known}
    for name, others in without_implied(inner).items():
        upper = boxes[known[name]]
        for other in sorted(others):
            lower = boxes[known[other]]
            if lower.y <= upper.y:
                raise ValueError(f"{name} imports {other}, which PLACES has above it")
            if lower.y - upper.bottom <= ROW_GAP:
                middle = min(upper, lower, key=lambda box: box.width).center[0]
                start, end = upper.nearest(middle), lower.nearest(middle)
                y = (upper.bottom + lower.y) / 2
                bend = [] if start == end else [(start, y), (end, y)]
                yield arrow("import", (start, upper.bottom), *bend, (end, lower.y))
            else:
                x, start = LEFT - 28, upper.center[1]
                if lower.x == LEFT:
                    y = lower.center[1]
                    way = [(x, y), (lower.x, y)]
                else:
                    y, middle = lower.y - ROW_GAP / 4, lower.center[0]
                    way = [(x, y), (middle, y), (middle, lower.y)]
                yield arrow("import", (upper.x, start), (x, start), *way)


def host_parts(summaries: dict[str, str], x: float, y: float) -> Iterator[str]:
    """Return the packages of the host: each name, and the subject of the docstring."""
    for name, summary in summaries.items():
        if name.startswith(f"{HOST}."):
            yield text(x, y, name.removeprefix(f"{HOST}."), "part")
            subject = summary.partition(":")[0].partition(",")[0].rstrip(".")
            for line in wrapped(subject, HOST_WIDTH, most=2):
                y += LINE
                yield text(x, y, line)
            y += LINE + 10


def legend(x: float, y: float) -> Iterator[str]:
    """Say what the kinds of arrows mean."""
    kinds = {
        "import": "imports",
        "implement": "implements interfaces.py",
        "call": "the path of create_vm",
    }
    for kind, meaning in kinds.items():
        yield arrow(kind, (x, y), (x + 44, y))
        yield text(x + 54, y + 4, meaning)
        y += 24


def programs(summaries: dict[str, str], top: float) -> dict[str, Box]:
    """Return the boxes above the daemon: the two programs, and what all share."""
    headings = {CTL: "ctl", CPI: "cpi", SHARED: "errors, printable, wire"}
    lines = {name: wrapped(summaries[name], COLUMN, 4) for name in headings}
    lines[SHARED] = wrapped(
        "What the programs and the daemon share. All import it.", COLUMN
    )
    height = 36 + LINE * max(map(len, lines.values()))
    return {
        name: Box(LEFT + index * (COLUMN + GAP), top, COLUMN, height, heading, lines[name])
        for index, (name, heading) in enumerate(headings.items())
    }


def call(cpi: Box, rpc: Box, vms: Box, host: Box, linux: Box, gap: float) -> Iterator[str]:
    """
    Return the path of the call, with the numbers of its steps.

    @param gap: where it goes between the boxes below C{rpc}, from the left.
    """
    x = cpi.center[0]
    side = vms.center[1]
    yield arrow("call", (x, cpi.y - 44), (x, cpi.y))
    yield arrow("call", (x, cpi.bottom), (x, rpc.y))
    yield arrow("call", (gap, rpc.bottom), (gap, vms.y))
    yield arrow("call", (vms.right, side), (host.x, side))
    yield arrow("call", (host.center[0], host.bottom), (host.center[0], linux.y))
    yield disc(x, cpi.y - 29, 1)
    yield disc(x, cpi.bottom + 20, 2)
    yield disc(gap, rpc.bottom + ROW_GAP / 2, 3)
    yield disc(vms.right - 22, side - 11, 4)
    yield disc((RIGHT + PADDING + HOST_LEFT) / 2 - 3, side, 5)
    yield disc(vms.right - 22, side + 11, 6)


def svg(summaries: dict[str, str], edges: dict[str, set[str]]) -> str:
    """
    Return the drawing.

    @param summaries: what each package is for
    @param edges: for each package, the others that it imports
    @raise ValueError: if PLACES does not fit the code any more.
    """
    known = {name for name in edges if name.startswith(f"{DAEMON}.")}
    if known != {*packages()}:
        raise ValueError(f"PLACES differs from the code: {known ^ {*packages()}}")
    above = programs(summaries, 74)
    ctl, cpi, shared = above[CTL], above[CPI], above[SHARED]
    frame_top = cpi.bottom + ROW_GAP
    boxes = placed(summaries, frame_top + 34)
    rpc, vms, storage = boxes["rpc"], boxes["vms"], boxes["storage"]
    host_top = boxes["entrance"].y + 34
    host = Box(
        HOST_LEFT,
        host_top,
        HOST_WIDTH,
        boxes["base"].bottom - host_top,
        "host",
        wrapped(summaries[HOST], HOST_WIDTH, 4),
        "box host",
    )
    meaning = "These modules put all parts together, and are alone in importing all."
    assembly = Box(
        HOST_LEFT,
        rpc.y,
        HOST_WIDTH,
        host.y - rpc.y - 20,
        "daemon/*.py",
        wrapped(meaning, HOST_WIDTH, 4),
    )
    frame_bottom = boxes["base"].bottom + 18
    linux = Box(
        LEFT,
        frame_bottom + ROW_GAP,
        HOST_LEFT + HOST_WIDTH - LEFT,
        52,
        "Linux",
        ("runc, tar, igzip, mkfs, mounts, loop devices, netlink, cgroups, eBPF, …",),
    )
    steps = linux.bottom + 34
    bottom = steps + len(STEPS) * 24 + 8
    group_top, group_bottom = vms.y - 30, boxes["disks"].bottom + PADDING
    group = (
        LEFT - PADDING,
        group_top,
        RIGHT - LEFT + 2 * PADDING,
        group_bottom - group_top,
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:g}"'
        ' role="img" aria-labelledby="title description">',
        f'<title id="title">{TITLE}</title>',
        f'<desc id="description">{DESCRIPTION}</desc>',
        f"<style>\n{LIGHT}@media (prefers-color-scheme: dark) {{\n{DARK}}}\n</style>",
        "<defs>",
        *(head("import", 8), head("implement", 9), head("call", 13)),
        "</defs>",
        f'<rect class="page" width="{WIDTH}" height="{bottom:g}"/>',
        rectangle(MARGIN, frame_top, WIDTH - 2 * MARGIN, frame_bottom - frame_top, "frame"),
        text(HOST_LEFT, frame_top + 23, "daemon: runc-cpid, a twistd service", "label"),
        rectangle(*group, "group"),
        text(cpi.center[0] + 14, group_top + 19, "BOSH's nouns", "label"),
        text(ctl.center[0], ctl.y - 52, "operator", "step", "middle"),
        text(cpi.center[0], cpi.y - 52, "director, bosh CLI", "step", "middle"),
        text(cpi.center[0] + 14, cpi.bottom + 24, "AMP: unix socket, or tcp with TLS"),
        arrow("import", (ctl.center[0], ctl.y - 44), (ctl.center[0], ctl.y)),
        arrow("import", (ctl.right, ctl.center[1]), (cpi.x, ctl.center[1])),
        arrow("import", (ctl.center[0], ctl.bottom), (ctl.center[0], rpc.y)),
        arrow("import", (cpi.right, cpi.center[1]), (shared.x, cpi.center[1])),
        *imports(boxes, edges),
        arrow(
            "implement",
            (host.x, boxes["disks"].center[1]),
            (RIGHT + PADDING, boxes["disks"].center[1]),
        ),
        arrow("import", (host.x, storage.center[1]), (RIGHT, storage.center[1])),
    ]
    for box in (*above.values(), *boxes.values(), assembly, host, linux):
        parts += box.elements()
    parts += host_parts(summaries, host.x + PADDING, host.y + 52 + LINE * len(host.lines))
    parts += legend(HOST_LEFT, ctl.y + 20)
    parts += call(cpi, rpc, vms, host, linux, boxes["doctor"].x - GAP / 2)
    for index, step in enumerate(STEPS):
        parts.append(disc(LEFT + 9, steps + 24 * index, index + 1))
        parts.append(text(LEFT + 28, steps + 24 * index + 4, step, "step"))
    return "\n".join([*parts, "</svg>", ""])
