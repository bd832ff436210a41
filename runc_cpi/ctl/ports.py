"""C{runc-cpictl ports} and C{leases}: which ports and addresses VMs have."""

from __future__ import annotations

from collections.abc import Mapping

import click

from runc_cpi.ctl.operator import Operator, output_option
from runc_cpi.ctl.tables import Thing, print_table
from runc_cpi.ctl.vms import instance_of, port_of


@click.command()
@output_option
@click.pass_obj
def ports(operator: Operator) -> None:
    """List the ports and addresses of the host that lead to VMs."""
    (vms,) = operator.ask_for("ListVMs", "vms")
    found = [
        {"vm_cid": vm["vm_cid"], "instance": instance_of(vm), **port}
        for vm in vms
        for port in vm["ports"]
    ]
    found += [
        {"vm_cid": vm["vm_cid"], "instance": instance_of(vm), "vip": address}
        for vm in vms
        for address in vm["vips"]
    ]
    rows = [(_place(port), port["vm_cid"], port["instance"]) for port in found]
    headings = ("HOST -> VM", "VM", "INSTANCE")
    operator.show({"ports": found}, lambda: print_table(headings, rows))


def _place(port: Thing) -> str:
    return f"{port['vip']}, all ports" if "vip" in port else port_of(port)


@click.command()
@output_option
@click.pass_obj
def leases(operator: Operator) -> None:
    """List the addresses that VMs have, network by network."""
    (networks,) = operator.ask_for("ListNetworks", "networks")
    (vms,) = operator.ask_for("ListVMs", "vms")
    found = leases_of(networks, {vm["vm_cid"]: instance_of(vm) for vm in vms})
    headings = ("ADDRESS", "NETWORK", "VM", "INSTANCE")
    rows = [[lease[key] or "-" for key in KEYS] for lease in found]
    operator.show({"leases": found}, lambda: print_table(headings, rows))


KEYS = ("address", "network", "vm_cid", "instance")


def leases_of(
    networks: list[Thing], instances: Mapping[str, str]
) -> list[dict[str, str | None]]:
    """
    Return all addresses of networks that somebody has.

    @param instances: what BOSH calls each VM.
    """
    return [
        {
            "address": address,
            "network": network["name"] or network["cidr"],
            "vm_cid": vm_cid,
            "instance": instances.get(vm_cid),
        }
        for network in networks
        for address, vm_cid in network["addresses"].items()
    ]
