"""Who else of this host may rely on that it forwards packets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runc_cpi.daemon.host.network import libnftables, sysctls, table

# The names of the tables that iptables has in the kernel, where it does not use nftables.
LEGACY_TABLES = {
    4: Path("/proc/net/ip_tables_names"),
    6: Path("/proc/net/ip6_tables_names"),
}


def found(version: int) -> str | None:
    """
    Name something that suggests that others rely on it, or return L{None}.

    Docker, libvirt and most scripts of VPNs have rules for what is forwarded.  They see
    that the host forwards already, and leave no other trace.

    @param version: of a kind of IP, 4 or 6.
    @raise OSError: if the kernel does not tell.
    """
    filters = table.filters_of_others(libnftables.run("list chains"), version)
    if filters:
        return f"the rules in table {filters[0]}"
    # A kernel without these tables has no such file.
    with suppress(OSError):
        if LEGACY_TABLES[version].read_text("ascii").strip():
            return "the rules of iptables"
    if not sysctls.forwards_everywhere(version):
        return "an interface whose own setting differs"
    return None
