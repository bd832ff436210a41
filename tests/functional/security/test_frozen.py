"""No VM can freeze or shut down a file system: the host's own can be reached from it."""

from __future__ import annotations

import errno
import platform
import signal
import struct
from pathlib import Path

import pytest

from runc_cpi.daemon.vms.spec.confinement import GUARDED_IOCTLS
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM

# A small disk of the VM's own: if it is frozen after all, nothing else is.
DATA = b"/var/vcap/data\0"
OWN_DISK = {"ephemeral_disk_size": 64}
FREEZE, THAW = GUARDED_IOCTLS["FIFREEZE"], GUARDED_IOCTLS["FITHAW"]
# The kernel does not look at these bits of an ioctl's number.
MORE_BITS = 0xDEAD << 32
LOAD = 0x400000
SEGFAULT = 128 + signal.SIGSEGV
SYSCALL = bytes.fromhex("0f05")

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the program is for x86_64"
)


def call(number: int) -> bytes:
    """Return the machine code of a system call; its arguments are in place."""
    return b"\xb8" + struct.pack("<I", number) + SYSCALL  # mov eax, number


def ioctl(request: int, number: int = 16) -> bytes:
    """
    Return the machine code of an ioctl without an argument, on the descriptor in r12d.
    """
    code = bytes.fromhex("4489e7")  # mov edi, r12d
    code += b"\x48\xbe" + struct.pack("<Q", request)  # mov rsi, request
    return code + bytes.fromhex("31d2") + call(number)  # xor edx, edx


def ioctl_of_32_bits(request: int) -> bytes:
    """Return the machine code of an ioctl, as 32-bit programs make it."""
    code = bytes.fromhex("4489e3")  # mov ebx, r12d
    code += b"\xb9" + struct.pack("<I", request)  # mov ecx, request
    return code + bytes.fromhex("31d2b836000000cd80")  # xor edx, edx; eax = 54; int 0x80


def program(tried: bytes) -> bytes:
    """Return a program that ends with the error number of C{tried}, on the data disk."""
    # mov rdi, DATA; xor esi, esi; xor edx, edx; open; mov r12d, eax
    begin = b"\x48\xbf" + struct.pack("<Q", LOAD + 120)
    begin += bytes.fromhex("31f631d2") + call(2) + bytes.fromhex("4189c4")
    # mov r13d, eax; thaw, should it be frozen; mov edi, r13d; neg edi; exit
    end = bytes.fromhex("4189c5") + ioctl(THAW) + bytes.fromhex("4489eff7df") + call(60)
    code = begin + tried + end
    size = 120 + len(DATA) + len(code)
    entry = LOAD + 120 + len(DATA)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, LOAD, LOAD, size, size, 4096)
    return header + segment + DATA + code


ATTEMPTS = {
    **{name: ioctl(request) for name, request in GUARDED_IOCTLS.items()},
    "more bits": ioctl(FREEZE | MORE_BITS),
    "32 bits": ioctl_of_32_bits(FREEZE),
    "x32": ioctl(FREEZE, 1 << 30 | 514),
}


def outcome(vm: VM, tried: bytes) -> int:
    """Run the program in a VM, and return the error number."""
    text = "".join(f"\\{byte:03o}" for byte in program(tried))
    vm.shell(f"printf '{text}' >/probe; busybox chmod +x /probe")
    return vm.attempt("/probe").returncode


def test_it_cannot_be_stopped(daemon: Daemon, tiny: Path) -> None:
    """The filter refuses the ioctls, also with extra bits, as 32-bit calls and by x32."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=OWN_DISK)
    # Another ioctl is let through, and the error says that it does not exist.
    assert outcome(vm, ioctl(0x12345678)) == errno.ENOTTY
    results = {name: outcome(vm, tried) for name, tried in ATTEMPTS.items()}
    # If the kernel runs no 32-bit programs, their way is a fault.
    if results["32 bits"] in (errno.ENOSYS, SEGFAULT):
        del results["32 bits"]
    assert results == dict.fromkeys(results, errno.EPERM)
    assert vm.is_alive()


def test_whoever_may_do_all_may_do_this(new_daemon: NewDaemon, tiny: Path) -> None:
    """
    With the privileged profile the ioctls are allowed, so it is the filter that refuses
    them.
    """
    daemon = new_daemon(config={"security": {"profile": "privileged"}}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=OWN_DISK)
    assert outcome(vm, ATTEMPTS["FIFREEZE"]) == 0
    assert outcome(vm, ATTEMPTS["more bits"]) == 0
    assert outcome(vm, ATTEMPTS["FS_IOC_SHUTDOWN"]) == errno.EFAULT
