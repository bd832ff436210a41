"""Where a fault of our own happened, told without any value: values can be secrets."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Optional

PACKAGE = "runc_cpi"
MOST_PLACES = 30


def trace(error: BaseException) -> str:
    """
    Return a traceback without the text of the error, which may quote an argument.

    @return: the type of the error, and a line for each call that led to it, the first one
        first.
    """
    lines = []
    place: Optional[TracebackType] = error.__traceback__
    while place is not None:
        code = place.tb_frame.f_code
        lines.append(f"  {_short(code.co_filename)}:{place.tb_lineno} in {code.co_name}")
        place = place.tb_next
    return "\n".join([f"{type(error).__name__}, raised in", *lines[-MOST_PLACES:]])


def _short(path: str) -> str:
    _, found, rest = path.rpartition(f"/{PACKAGE}/")
    return f"{PACKAGE}/{rest}" if found else path.rpartition("/")[2]
