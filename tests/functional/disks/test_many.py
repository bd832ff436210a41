"""Many disks at once: each is in its VM, and none is left anywhere."""

from __future__ import annotations

import os
from pathlib import Path

from tests.functional.disks.site import Site, loop_of
from tests.harness.vm import VM

VMS, EACH = 10, 5


def test_fifty_disks(site: Site) -> None:
    """Fifty disks of ten VMs are attached at once, used, and detached at once."""
    vms = [site.vm() for _ in range(VMS)]
    calls = [site.cpi.start("create_disk", 8, {}, None) for _ in range(VMS * EACH)]
    disks = [site.cpi.finish(call)["result"] for call in calls]
    assert len(set(disks)) == VMS * EACH
    owners = {disk_cid: vms[number % VMS] for number, disk_cid in enumerate(disks)}

    calls = [site.cpi.start("attach_disk", vm.cid, cid) for cid, vm in owners.items()]
    answers = [site.cpi.finish(call) for call in calls]
    assert [answer["result"] for answer in answers] == [f"/dev/{cid}" for cid in disks]
    assert len({loop_of(site.image(cid)) for cid in disks}) == len(disks)
    for vm in vms:
        mine = [cid for cid in disks if owners[cid] is vm]
        assert sorted(site.cpi.ok("get_disks", vm.cid)) == sorted(mine)
        assert nodes(vm) == sorted(mine)
        vm.shell(
            "".join(
                f"mkdir -p /m/{cid}; mount /dev/{cid} /m/{cid}; echo {cid} >/m/{cid}/cid;"
                for cid in mine
            )
        )

    calls = [site.cpi.start("detach_disk", vm.cid, cid) for cid, vm in owners.items()]
    assert [site.cpi.finish(call)["error"] for call in calls] == [None] * len(disks)
    for vm in vms:
        assert nodes(vm) == []
        assert "/m/" not in vm.read("/proc/mounts")
    assert [loop_of(site.image(cid)) for cid in disks] == [None] * len(disks)

    # Each disk goes to the next VM, with what the last one wrote to it.
    moved = {cid: vms[(number + 1) % VMS] for number, cid in enumerate(disks)}
    calls = [site.cpi.start("attach_disk", vm.cid, cid) for cid, vm in moved.items()]
    assert [site.cpi.finish(call)["error"] for call in calls] == [None] * len(disks)
    for vm in vms:
        mine = [cid for cid in disks if moved[cid] is vm]
        script = "".join(
            f"mkdir -p /m/{cid}; mount /dev/{cid} /m/{cid}; cat /m/{cid}/cid;"
            for cid in mine
        )
        assert vm.shell(script).split() == mine

    calls = [site.cpi.start("delete_vm", vm.cid) for vm in vms]
    assert [site.cpi.finish(call)["error"] for call in calls] == [None] * VMS
    assert [loop_of(site.image(cid)) for cid in disks] == [None] * len(disks)
    calls = [site.cpi.start("delete_disk", cid) for cid in disks]
    assert [site.cpi.finish(call)["error"] for call in calls] == [None] * len(disks)
    assert os.listdir(site.daemon.work_dir / "disks") == []


def nodes(vm: VM) -> list[str]:
    """Return the disks that a VM has device nodes of."""
    dev = Path(f"/proc/{vm.pid}/root/dev")
    return sorted(path.name for path in dev.glob("disk-*"))
