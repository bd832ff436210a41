"""
C{python -m tests.benchmarks.metrics [VMS]}: what scrapes take, and what they cost others.

Another process scrapes all the time, with a short pause after each scrape.  It gets only
the processor time that nobody else wants, as a Prometheus elsewhere would take none.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from prometheus_client.parser import text_string_to_metric_families

from runc_cpi.daemon.http.metrics.gathering import LONGEST
from tests.benchmarks.image_files import small_image
from tests.benchmarks.measuring import timed
from tests.harness import images, netns
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab

ROOT = Path(__file__).parents[2]
VMS = 200
PORT = 9998
PARTS = 160
PART_SECONDS = 0.5
PAUSE = 0.05  # seconds
GATHERED = 7  # times


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
def scraper() -> Iterator[subprocess.Popen[bytes]]:
    """Run another process that scrapes, and stop it for now."""
    argv = [sys.executable, "-m", "tests.benchmarks.metrics", "scrape"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        process.send_signal(signal.SIGSTOP)
        try:
            yield process
        finally:
            process.kill()


def calls(daemon: Daemon, vm_cid: str) -> Iterator[str]:
    """Time has_vm with and without scrapes, in turns that are short."""
    with daemon.connection() as client, scraper() as process:
        ways: dict[str, Callable[[], object]] = {
            "open connection": lambda: client.call("HasVM", vm_cid=vm_cid),
            "executable": lambda: daemon.cpi.ok("has_vm", vm_cid),
        }
        for way, call in ways.items():
            times: tuple[list[float], list[float]] = [], []
            for part in range(PARTS):
                is_scraped = part % 2
                process.send_signal(signal.SIGCONT if is_scraped else signal.SIGSTOP)
                end = time.monotonic() + PART_SECONDS
                while time.monotonic() < end:
                    times[is_scraped].append(timed(call))
                    time.sleep(0.002)
            yield told(f"has_vm, {way}, not scraped", times[0])
            yield told(f"has_vm, {way}, scraped", times[1])
            alone, scraped = (quantiles(each, n=100)[-1] for each in times)
            yield f"{'the ratio of the slowest of 100':52} {scraped / alone:7.2f}"


def main() -> None:
    """Measure and print."""
    if sys.argv[1:] == ["scrape"]:
        scrape()
        print(flush=True)
        while True:
            time.sleep(PAUSE)
            scrape()
    number = int(sys.argv[1]) if len(sys.argv) > 1 else VMS
    # Its packages come over the network of the machine.
    images.bootable("runit")
    netns.enter()
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            config = {"http": {"address": f"127.0.0.1:{PORT}"}}
            daemon = new_daemon(config=config).start()
            stemcell = daemon.create_stemcell(small_image(lab.home))
            vms = [daemon.create_vm(stemcell) for _ in range(number)]
            text = scrape()
            families = list(text_string_to_metric_families(text.decode()))
            lines = sum(len(family.samples) for family in families)
            print(f"{number} VMs: {lines} samples, {len(text)} bytes", flush=True)
            print(f"{'milliseconds':44} {'median':>7} {'p99':>7} {'most':>7}")
            fresh = []
            for _ in range(GATHERED):
                time.sleep(LONGEST + 0.5)
                fresh.append(timed(scrape))
            print(told("a scrape that gathers", fresh), flush=True)
            print(told("one soon after another", [timed(scrape) for _ in range(50)]))
            for line in calls(daemon, vms[0].cid):
                print(line, flush=True)
    finally:
        lab.close()


if __name__ == "__main__":
    main()
