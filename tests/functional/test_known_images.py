"""The same image again, by each transport: it is known, shared, and unpacked once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.encryption import encrypted
from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab
from tests.harness.spans import LOGGED, names_in, spans_of
from tests.harness.waiting import eventually


@pytest.fixture(scope="module", params=["unix", "tcp", "tls"])
def server(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Daemon]:
    """A daemon for all tests here."""
    with lab.daemons() as new_daemon:
        if request.param == "tls":
            yield encrypted(new_daemon, **LOGGED)
        else:
            yield new_daemon(network_type=request.param, config=LOGGED).start()


def test_the_same_image_again(server: Daemon, tiny: Path) -> None:
    """It is not unpacked again, whichever way it comes; also not by several at once."""
    first = server.create_stemcell(tiny)
    rootfs = server.rootfs_of(first)
    before = (rootfs.stat().st_ino, list((server.work_dir / "images").iterdir()))
    calls = [server.cpi.start("create_stemcell", str(tiny), {}) for _ in range(3)]
    cids = [server.cpi.finish(call)["result"] for call in calls]
    assert len({first, *cids}) == 4
    assert {server.rootfs_of(cid) for cid in cids} == {rootfs}
    steps = [names_in(line) for line in spans_of(server, "create_stemcell")]
    assert ["unpack" in names for names in steps] == [True, False, False, False]
    assert before == (rootfs.stat().st_ino, list((server.work_dir / "images").iterdir()))
    for cid in (first, *cids[1:]):
        server.cpi.ok("delete_stemcell", cid)
    assert (server.rootfs_of(cids[0]) / "bin/busybox").exists()
    server.cpi.ok("delete_stemcell", cids[0])
    eventually(lambda: not list(server.scratch.iterdir()), "nothing is being removed")
    assert not rootfs.exists()


def test_another_image_of_the_same_size(server: Daemon, tmp_path: Path) -> None:
    """It is another stemcell, with files of its own."""
    roots = []
    for content in (b"#!\n", b"#?\n"):
        path = tmp_path / "image"
        path.write_bytes(images.archive([images.entry("bin/sh", content, mode=0o755)]))
        roots.append(server.rootfs_of(server.create_stemcell(path)))
    assert [(root / "bin/sh").read_bytes() for root in roots] == [b"#!\n", b"#?\n"]
