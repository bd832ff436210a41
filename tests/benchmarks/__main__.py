"""What operations/benchmark runs: it measures, prints a table, and writes what is asked."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from subprocess import SubprocessError

from tests.benchmarks.calls.rounds import Failed
from tests.benchmarks.contenders import Refused
from tests.benchmarks.docker import NoDocker, can_be_had
from tests.benchmarks.machine import sentence
from tests.benchmarks.options import PROGRAM, arguments
from tests.benchmarks.results import Results, Unusable, table
from tests.benchmarks.run import Wanted, measured


def found_docker_cpi() -> Path | None:
    """Return the docker-cpi of the search path, if there is one that can be measured."""
    found = shutil.which("docker-cpi")
    if found is None:
        return None
    if not can_be_had():
        print("docker-cpi is not measured: DOCKER_HOST is not set, and there is no dockerd")
        return None
    return Path(found)


def main() -> int:
    """Measure, and report; what was measured before a failure is reported as well."""
    asked, results = arguments(), Results()

    def keep() -> None:
        if asked.json:
            results.write(asked.json)

    before, failure = None, None
    try:
        before = Results.read(asked.against) if asked.against else None
        wanted = Wanted(
            rounds=asked.rounds,
            only=asked.only,
            scale=asked.scale,
            stemcell=asked.stemcell,
            docker_cpi=asked.docker_cpi or found_docker_cpi(),
        )
        measured(wanted, results, keep)
    except (Failed, Refused, SubprocessError, Unusable, NoDocker, OSError) as error:
        failure = error
    finally:
        if results.samples:
            print(table(results, before))
            print(sentence(results.machine))
    if failure:
        print(f"{PROGRAM}: {failure}", file=sys.stderr)
        return 1
    if asked.plots:
        # What draws takes long to import.
        from tests.benchmarks.plots import draw

        for drawn in draw(results, asked.plots):
            print(f"drew {drawn}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
