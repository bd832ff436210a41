"""Moments on the command line: so long ago, or a date and time."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

import click

AGO = re.compile(r"([0-9]{1,9})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Moment(click.ParamType[float]):
    """A moment, as seconds since 1970."""

    name = "moment"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return when it was, or end with a usage error."""
        if ago := AGO.fullmatch(value):
            return time.time() - int(ago[1]) * SECONDS[ago[2]]
        try:
            # Python 3.10 knows no Z.
            moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", value))
            return (
                moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            ).timestamp()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} must be an age such as 90s, 10m, 2h or 1d, or a date such as "
                "2026-01-31T12:00:00Z",
                param,
                ctx,
            )
