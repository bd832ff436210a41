"""
C{python -m tests.benchmarks.encryption [ROUNDS]}: the cost of TLS.

The same calls go over plain tcp and over mutual TLS, in turns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.image_files import large_image
from tests.benchmarks.measuring import Row, in_turns, layout, timed
from tests.harness import images, netns
from tests.harness.certificates import Authority
from tests.harness.daemon import Daemon
from tests.harness.images import archive, shell_entries
from tests.harness.lab import Lab, NewDaemon

MEBIBYTE = 1 << 20
STREAM = 128
ROUNDS = 15


def encrypted(new_daemon: NewDaemon, **config: Any) -> Daemon:
    """Start a daemon with mutual TLS, and give its executable a certificate."""
    authority = Authority("the CA")
    tls = authority.issue("daemon", "127.0.0.1")
    daemon = new_daemon(network_type="tcp", config={**config, "tls": tls})
    path = daemon.home / "cpi.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "tls": authority.issue("director")}))
    return daemon.start()


def encryption(
    plain: Daemon, tls: Daemon, image: Path, rounds: int, home: Path, *, size: int = STREAM
) -> list[Row]:
    """
    Measure a call that does hardly anything, and images that are streamed.

    @param size: MiB of an image with next to nothing to unpack, so that its transport
    counts.
    """
    hollow = home / "hollow"
    hollow.write_bytes(archive(shell_entries()) + bytes(size * MEBIBYTE))

    def call(daemon: Daemon) -> Callable[[], float]:
        return lambda: timed(lambda: daemon.cpi.ok("has_vm", "vm-none"))

    def stream(daemon: Daemon, what: Path) -> Callable[[], float]:
        def create() -> float:
            made: list[str] = []
            took = timed(lambda: made.append(daemon.create_stemcell(what)))
            daemon.cpi.ok("delete_stemcell", made[0])
            return took

        return create

    call_plain, call_tls = in_turns(rounds, call(plain), call(tls))
    few = max(2, rounds // 4)
    works = (stream(on, what) for what in (hollow, image) for on in (plain, tls))
    bare_plain, bare_tls, image_plain, image_tls = in_turns(few, *works)
    bare = f"the same {size} MiB over plain tcp"
    return [
        Row("has_vm over plain tcp", call_plain),
        Row("has_vm over TLS", call_tls, "plain tcp", call_tls / call_plain),
        Row("TLS of one call", call_tls - call_plain, aim="15 ms"),
        Row(f"{size} MiB streamed over plain tcp", bare_plain),
        Row(f"{size} MiB streamed over TLS", bare_tls, bare, bare_tls / bare_plain),
        Row(
            "create_stemcell, streamed by TLS",
            image_tls,
            "streamed by tcp",
            image_tls / image_plain,
            "1.67",
        ),
    ]


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    small = images.bootable("systemd")
    netns.enter()
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            place = lab.home / "images"
            place.mkdir()
            plain = new_daemon(network_type="tcp").start()
            image = large_image(small, place)
            print(layout(encryption(plain, encrypted(new_daemon), image, rounds, place)))
    finally:
        lab.close()


if __name__ == "__main__":
    main()
