"""All metrics: their names, kinds and labels, and what they mean, as the docs have it."""

from __future__ import annotations

from dataclasses import dataclass

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
VM = ("vm_cid", "deployment", "instance")


@dataclass(frozen=True)
class Metric:
    """
    A metric, named as Prometheus' conventions have it.

    @ivar name: whole, with C{_total} if it is a counter.
    @ivar kind: L{GAUGE}, L{COUNTER} or L{HISTOGRAM}.
    @ivar labels: their names.
    @ivar meaning: one line of plain text.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"runc_cpi_{name}", GAUGE, labels, meaning)


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"runc_cpi_{name}_total", COUNTER, labels, meaning)


def _histogram(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"runc_cpi_{name}", HISTOGRAM, labels, meaning)


BUILD_INFO = _gauge("build_info", "always 1; the version that runs", "version")
CALL_SECONDS = _histogram(
    "call_duration_seconds",
    "calls that have ended, by how long they took; outcome is ok or failed",
    *("method", "outcome"),
)
CALLS = _gauge(
    "calls_under_way", "calls that run, or wait for their turn or a lock", "state"
)
EVENTS = _counter(
    "events", "what the daemon did or noticed by itself, such as vm_ended", "event"
)
QUEUE = _gauge(
    "queue_length",
    "what waits: work for threads, programs to be started, events to be written",
    "queue",
)
LAG = _histogram(
    "reactor_lag_seconds", "how late the daemon's event loop is, looked at once a second"
)
COLLECTION = _gauge("collection_seconds", "how long it took to gather all this")

VMS = _gauge(
    "vms",
    "VMs by how they are: running, stopped, ended, restarting, unbootable, interrupted, "
    "changing or set_aside",
    "state",
)
VM_CPU = _counter("vm_cpu_seconds", "time of processors since the VM booted", *VM)
VM_CPU_LIMIT = _gauge("vm_cpu_limit", "processors that the VM may use at a time", *VM)
VM_MEMORY = _gauge(
    "vm_memory_bytes", "memory in use, without copies of files that can be dropped", *VM
)
VM_MEMORY_LIMIT = _gauge("vm_memory_limit_bytes", "memory that the VM may use", *VM)
VM_OOM_KILLS = _counter(
    "vm_oom_kills", "processes killed for want of memory since the VM booted", *VM
)
VM_PIDS = _gauge("vm_pids", "processes and threads", *VM)
VM_DISK = _gauge(
    "vm_disk_bytes", "what the VM's root and ephemeral disk take of the host", *VM
)
VM_DISK_LIMIT = _gauge("vm_disk_limit_bytes", "what these may take", *VM)
VM_READ = _counter("vm_disk_read_bytes", "read from block devices since the VM booted", *VM)
VM_WRITTEN = _counter(
    "vm_disk_written_bytes", "written to block devices since the VM booted", *VM
)
VM_RECEIVED = _counter(
    "vm_network_receive_bytes", "received by all interfaces since the VM booted", *VM
)
VM_SENT = _counter(
    "vm_network_transmit_bytes", "sent by all interfaces since the VM booted", *VM
)

ADDRESSES = _gauge("network_addresses", "addresses that VMs can have", "network", "cidr")
ADDRESSES_USED = _gauge(
    "network_addresses_used", "addresses that VMs have", "network", "cidr"
)
STEMCELL = _gauge(
    "stemcell_bytes",
    "what a stemcell takes, once that is known",
    "stemcell_cid",
)
STEMCELLS = _gauge("stemcells", "stemcells")
DISK = _gauge(
    "disk_size_bytes", "size of a persistent disk; vm_cid is empty if no VM has it",
    *("disk_cid", "vm_cid"),
)  # fmt: skip
DISK_TAKEN = _gauge(
    "disk_allocated_bytes", "what it takes of the host", "disk_cid", "vm_cid"
)
SNAPSHOTS = _gauge("snapshots", "snapshots of persistent disks")
ROOM_FREE = _gauge("room_free_bytes", "free where the daemon keeps everything")
ROOM_PROMISED = _gauge("room_promised_bytes", "what disks may still grow by")
ROOM_PROMISABLE = _gauge(
    "room_promisable_bytes", "what may be promised in all, by disks.overcommit"
)
LOOP_DEVICES = _gauge("loop_devices", "loop devices of files of this daemon")
STUCK_REMOVALS = _gauge(
    "stuck_interface_removals",
    "interfaces that the kernel has not removed within 10 seconds",
)
CERTIFICATE_ENDS = _gauge(
    "certificate_expiry_timestamp_seconds",
    "when a certificate of the configuration expires, in seconds since 1970",
    "key",
)
FINDINGS = _gauge(
    "doctor_findings",
    "what runc-cpictl doctor finds; state is ok, warning or fault",
    "state",
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
