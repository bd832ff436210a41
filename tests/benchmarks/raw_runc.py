"""Containers like those of VMs, made by bare C{runc}: no daemon, and no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from runc_cpi.daemon.host import mounting
from tests.benchmarks.contenders import Ours
from tests.benchmarks.measuring import command, timed
from tests.benchmarks.own_mounts import own_mounts


class RawRunc:
    """
    Makes and ends containers with the specification of a VM.

    @param home: a directory for their bundles and states.
    @param threads: what is done at once is done in these.
    """

    def __init__(self, ours: Ours, home: Path, threads: ThreadPoolExecutor) -> None:
        vm_cid = ours.create_vm()
        config = ours.daemon.work_dir / "vms" / vm_cid / "config.json"
        self._spec = config.read_text("utf-8")
        ours.tidy("delete_vm", vm_cid)
        self._lower = ours.daemon.rootfs_of(ours.stemcell)
        self._home, self._numbers, self._threads = home, count(), threads
        self._base = ["runc", "--root", str(home / "runc")]
        self._bundles: list[Path] = []

    def make(self, number: int = 1) -> float:
        """
        Make containers and start them, all at once; their root file systems are there.

        @return: the milliseconds that it took.
        @raise CalledProcessError: if C{runc} fails; its C{stderr} says why.
        """
        for _ in range(number):
            self._add_bundle()
        return self._took(self._run)

    def restart(self) -> float:
        """End all containers and make them again; return the milliseconds it took."""
        return self._took(self._end, self._run)

    def end(self) -> float:
        """End all containers, and return the milliseconds that it took."""
        took = self._took(self._end)
        for bundle in self._bundles:
            self._discard(bundle)
        self._bundles.clear()
        return took

    def remove(self) -> None:
        """Remove all that there is, also containers that were not made to the end."""
        with ExitStack() as stack:
            for bundle in self._bundles:
                stack.callback(self._discard, bundle)
                stack.callback(self._end, bundle)

    def _took(self, *works: Callable[[Path], None]) -> float:
        def each(bundle: Path) -> None:
            for work in works:
                work(bundle)

        def all_of_them() -> None:
            begun = [self._threads.submit(each, bundle) for bundle in self._bundles]
            wait(begun)
            for done in begun:
                done.result()

        return timed(all_of_them)

    def _add_bundle(self) -> None:
        bundle = self._home / f"raw-{os.getpid()}-{next(self._numbers)}"
        for part in ("rootfs", "upper", "work", "data"):
            (bundle / part).mkdir(parents=True)
        spec = json.loads(self._spec)
        for mount in spec["mounts"]:
            if mount["destination"] == "/var/vcap/data":
                mount["source"] = str(bundle / "data")
        spec["linux"]["cgroupsPath"] = f"/{bundle.name}"
        (bundle / "config.json").write_text(json.dumps(spec))
        self._threads.submit(
            mounting.mount_overlay,
            lower=self._lower,
            upper=bundle / "upper",
            work=bundle / "work",
            target=bundle / "rootfs",
        ).result()
        self._bundles.append(bundle)

    def _discard(self, bundle: Path) -> None:
        self._threads.submit(mounting.detach, str(bundle / "rootfs")).result()
        shutil.rmtree(bundle)

    def _run(self, bundle: Path) -> None:
        with (bundle / "console").open("wb") as console:
            create = [*self._base, "create", "--bundle", str(bundle), bundle.name]
            done = subprocess.run(
                create, stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        if done.returncode != 0:
            said = (bundle / "console").read_text("utf-8", "replace")
            raise subprocess.CalledProcessError(done.returncode, create, stderr=said)
        command([*self._base, "start", bundle.name])

    def _end(self, bundle: Path) -> None:
        command([*self._base, "delete", "--force", bundle.name])


@contextmanager
def raw_runc(ours: Ours, home: Path, at_once: int = 1) -> Iterator[RawRunc]:
    """
    Lend bare C{runc}; nothing is left of its containers and mounts at the end.

    @param home: a directory for bundles and states.
    @param at_once: how many containers are made at once.
    """
    with own_mounts(at_once) as threads:
        runc = RawRunc(ours, home, threads)
        try:
            yield runc
        finally:
            runc.remove()
