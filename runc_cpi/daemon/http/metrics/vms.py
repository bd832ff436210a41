"""Numbers of VMs: how many there are, and what each uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from runc_cpi.daemon.events.event import named
from runc_cpi.daemon.http.metrics import catalogue as of
from runc_cpi.daemon.http.metrics.samples import Sample
from runc_cpi.daemon.vms.conditions import Condition
from runc_cpi.daemon.vms.usage import Usage
from runc_cpi.daemon.vms.vm import VM


def samples(
    vms: Sequence[VM],
    usages: Mapping[str, Usage],
    oom_kills: Mapping[str, int],
    conditions: Mapping[str, Condition],
) -> Iterator[Sample]:
    """
    Return all about VMs.

    @param usages: what each VM uses that runs, by its cid.
    @param oom_kills: how many processes were killed, by the VM, if that is known.
    @param conditions: how each VM is, by its cid; also of those that cannot be read.
    """
    counts = Counter(conditions.values())
    for condition in Condition:
        yield Sample(of.VMS, (condition.value,), counts[condition])
    for vm in vms:
        usage = usages.get(vm.vm_cid)
        if usage is None:
            continue
        labels = labels_of(vm)
        yield from _of_one(usage, labels)
        if vm.vm_cid in oom_kills:
            yield Sample(of.VM_OOM_KILLS, labels, oom_kills[vm.vm_cid])


def labels_of(vm: VM) -> tuple[str, str, str]:
    """Return the cid of a VM, its deployment if that is known, and what BOSH calls it."""
    deployment = vm.metadata.get("deployment")
    told = deployment if isinstance(deployment, str) else ""
    return vm.vm_cid, named(told), named(vm.name)


def _of_one(usage: Usage, labels: tuple[str, ...]) -> Iterator[Sample]:
    """Return what is known of what a VM uses; what has no limit has no sample."""
    for metric, value in (
        (of.VM_CPU, usage.cpu_seconds),
        (of.VM_CPU_LIMIT, usage.cpu_limit),
        (of.VM_MEMORY, usage.memory),
        (of.VM_MEMORY_LIMIT, usage.memory_limit),
        (of.VM_PIDS, usage.pids),
        (of.VM_DISK, usage.disk),
        (of.VM_DISK_LIMIT, usage.disk_limit),
        (of.VM_READ, usage.read),
        (of.VM_WRITTEN, usage.written),
        (of.VM_RECEIVED, usage.received),
        (of.VM_SENT, usage.sent),
    ):
        if value is not None:
            yield Sample(metric, labels, value)
