"""
C{python -m tests.benchmarks.metrics [VMS]}: what scrapes take, and what they cost others.

Another process scrapes all the time.  While calls are made on an open connection, the next
scrape begins when one has ended.  While the executable makes them, which needs a processor
too, there are ten scrapes a second.
"""

from __future__ import annotations

import gzip
import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.measuring import timed
from tests.harness import images, netns
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab

ROOT = Path(__file__).parents[2]
VMS = 200
PORT = 9998
CALLS = 600  # in each part
PARTS = 8
PAUSE = 0.1  # seconds


def scrape() -> bytes:
    """Scrape once."""
    asking = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        asking.request("GET", "/metrics")
        return asking.getresponse().read()
    finally:
        asking.close()


def told(name: str, times: list[float]) -> str:
    """Return times as text, in milliseconds."""
    last = quantiles(times, n=100)[-1]
    return f"{name:44} {median(times):7.2f} {last:7.2f} {max(times):7.2f}"


@contextmanager
def scraping(pause: float | None) -> Iterator[None]:
    """
    Have another process scrape meanwhile.

    @param pause: seconds after each scrape, or L{None} if there are to be none.
    """
    if pause is None:
        yield
        return
    argv = [sys.executable, "-m", "tests.benchmarks.metrics", "scrape", str(pause)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


def calls(daemon: Daemon, vm_cid: str) -> Iterator[str]:
    """Time has_vm with and without scrapes, in turns."""
    times: dict[tuple[str, bool], list[float]] = {}
    for part in range(PARTS):
        active = bool(part % 2)
        opened = times.setdefault(("open connection", active), [])
        whole = times.setdefault(("executable", active), [])
        with daemon.connection() as client, scraping(0.0 if active else None):
            for _ in range(CALLS):
                opened.append(timed(lambda: client.call("HasVM", vm_cid=vm_cid)))  # noqa: B023
                time.sleep(0.002)
        with scraping(PAUSE if active else None):
            for _ in range(CALLS // 3):
                whole.append(timed(lambda: daemon.cpi.ok("has_vm", vm_cid)))
    for (way, active), found in sorted(times.items()):
        yield told(f"has_vm, {way}, {'scraped' if active else 'not scraped'}", found)


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["scrape"]:
        scrape()
        print(flush=True)
        while True:
            time.sleep(float(sys.argv[2]))
            scrape()
    number = int(sys.argv[1]) if len(sys.argv) > 1 else VMS
    busybox = images.take_out(images.bootable("runit"), "./usr/bin/busybox")
    netns.enter()
    lab = Lab()
    try:
        image = lab.home / "tiny.tgz"
        image.write_bytes(gzip.compress(images.tiny(busybox), 1))
        with lab.daemons() as new_daemon:
            config = {"http": {"address": f"127.0.0.1:{PORT}"}}
            daemon = new_daemon(config=config).start()
            stemcell = daemon.create_stemcell(image)
            vms = [daemon.create_vm(stemcell) for _ in range(number)]
            text = scrape()
            families = list(text_string_to_metric_families(text.decode()))
            lines = sum(len(family.samples) for family in families)
            print(f"{number} VMs: {lines} samples, {len(text)} bytes", flush=True)
            print(f"{'milliseconds':44} {'median':>7} {'p99':>7} {'most':>7}")
            fresh = []
            for _ in range(20):
                time.sleep(1.1)
                fresh.append(timed(scrape))
            print(told("a scrape that gathers", fresh), flush=True)
            print(told("a scrape within a second", [timed(scrape) for _ in range(50)]))
            for line in calls(daemon, vms[0].cid):
                print(line, flush=True)
    finally:
        lab.close()


if __name__ == "__main__":
    main()
