"""Requests that are refused before the daemon is asked: their envelope and arguments."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from runc_cpi.cpi.request import REQUEST_LIMIT
from tests.contract.cases import Case


def call(method: Any, *arguments: Any, **fields: Any) -> dict[str, Any]:
    """Return a request."""
    return {"method": method, "arguments": list(arguments), "context": {}, **fields}


TEXT = "must be a string that is not empty"

ENVELOPES = [
    Case("nothing", b"", "no request: stdin must hold one JSON object"),
    Case("no JSON", b"{ method: info }", "the request is not JSON: .*line 1 column 3"),
    Case("cut short", b'{"method": "inf', "the request is not JSON: Unterminated string"),
    Case("two at once", b"{} {}", "the request is not JSON: Extra data"),
    Case("too deep", b"[" * 100_000, "the request is not JSON: it nests too deeply"),
    Case("deep", b"[" * 101 + b"]" * 101, "the request is not JSON: it nests deeper"),
    Case("a bad byte", b'{"method": "\xff"}', "the request is not JSON: .*0xff"),
    Case("too large", b" {" * REQUEST_LIMIT, f"the request has more than {REQUEST_LIMIT}"),
    Case("a list", [call("ping")], "the request must be a JSON object"),
    Case("a text", "ping", "the request must be a JSON object"),
    Case("null", None, "the request must be a JSON object"),
    Case(
        "not a number",
        b'{"method":"ping","context":{"a":NaN}}',
        "the request is not JSON: .*NaN",
    ),
    Case("no method", {"arguments": []}, f"method: None {TEXT}"),
    Case("an empty method", call(""), f"method: '' {TEXT}"),
    Case("a number as method", call(5), f"method: 5 {TEXT}"),
    Case("a list as method", call(["ping"]), rf"method: \['ping'\] {TEXT}"),
    Case(
        "a text for arguments", call("ping", arguments="x"), "arguments: 'x' must be a list"
    ),
    Case(
        "an object for arguments", call("ping", arguments={}), "arguments: .*must be a list"
    ),
    Case("false for arguments", call("ping", arguments=False), "arguments: False must be"),
    Case("a text for context", call("ping", context="x"), "context: .*must be an object"),
    Case("a list for context", call("ping", context=[]), "context: .*must be an object"),
    Case(
        "version 0",
        call("ping", api_version=0),
        "api_version: 0 is none of 1, 2, 3",
        "NotSupported",
    ),
    Case(
        "version 4",
        call("ping", api_version=4),
        "api_version: 4 is none of 1, 2, 3",
        "NotSupported",
    ),
    Case(
        "version -1",
        call("ping", api_version=-1),
        "api_version: -1 is none of 1, 2",
        "NotSupported",
    ),
    Case(
        "a text as version",
        call("ping", api_version="2"),
        "api_version: '2' is no whole number",
    ),
    Case(
        "true as version",
        call("ping", api_version=True),
        "api_version: True is no whole number",
    ),
    Case(
        "a fraction as version",
        call("ping", api_version=2.5),
        "api_version: 2.5 is no whole",
    ),
    Case(
        "null as version", call("ping", api_version=None), "api_version: None is no whole"
    ),
]

METHODS = [
    Case("an unknown method", call("frobnicate"), ".*'frobnicate'", "NotImplemented"),
    Case(
        "a method of another CPI",
        call("create_load_balancer", {}),
        ".*'create_load_balancer'",
        "NotImplemented",
    ),
    Case("a private name", call("_vm_cid"), ".*'_vm_cid'", "NotImplemented"),
    Case("a magic name", call("__init__"), ".*'__init__'", "NotImplemented"),
    Case("a name with a NUL", call("in\0fo"), r".*'in\\x00fo'", "NotImplemented"),
    Case(
        "configure_networks",
        call("configure_networks", "vm-1", {}),
        "configure_networks: ",
        "NotSupported",
    ),
]

# Each method, what it takes, and how many of the last may be left out.
SIGNATURES: list[tuple[str, list[str], int]] = [
    ("ping", [], 0),
    ("create_stemcell", ["image_path", "cloud_properties", "env"], 1),
    ("delete_stemcell", ["stemcell_cid"], 0),
    (
        "create_vm",
        ["agent_id", "stemcell_cid", "cloud_properties", "networks", "disk_cids", "env"],
        2,
    ),
    ("delete_vm", ["vm_cid"], 0),
    ("has_vm", ["vm_cid"], 0),
    ("reboot_vm", ["vm_cid"], 0),
    ("set_vm_metadata", ["vm_cid", "metadata"], 0),
    ("create_disk", ["size", "cloud_properties", "vm_cid"], 2),
    ("delete_disk", ["disk_cid"], 0),
    ("has_disk", ["disk_cid"], 0),
    ("attach_disk", ["vm_cid", "disk_cid"], 0),
    ("detach_disk", ["vm_cid", "disk_cid"], 0),
    ("get_disks", ["vm_cid"], 0),
    ("resize_disk", ["disk_cid", "new_size"], 0),
    ("update_disk", ["disk_cid", "new_size", "cloud_properties"], 0),
    ("snapshot_disk", ["disk_cid", "metadata"], 1),
    ("delete_snapshot", ["snapshot_cid"], 0),
    ("set_disk_metadata", ["disk_cid", "metadata"], 0),
    ("create_network", ["subnet_definition"], 0),
    ("delete_network", ["network_cid"], 0),
    ("calculate_vm_cloud_properties", ["vm_resources"], 0),
]


def _counts() -> list[Case]:
    cases = []
    for method, names, optional in SIGNATURES:
        for count in (len(names) - optional - 1, len(names) + 1):
            if count < 0:
                continue
            takes = ", ".join(names) or "none"
            message = f"{method}: wrong number of arguments: {count} given, .*{takes}$"
            cases.append(
                Case(f"{method} of {count}", call(method, *["x"] * count), message)
            )
    return cases


def _first_texts() -> list[Case]:
    """The first argument of most methods is a text, and none of these is one."""
    values = [(None, "None"), (5, "5"), ("", "''"), (True, "True"), (["a"], r"\['a'\]")]
    cases = []
    for (method, names, optional), (value, shown) in zip(
        [each for each in SIGNATURES if each[1] and each[1][0].endswith(("cid", "path"))],
        cycle(values),
        strict=False,
    ):
        rest: list[Any] = [{} for _ in names[1 : len(names) - optional]]
        given = call(method, value, *rest)
        cases.append(Case(f"{method} of {value!r}", given, f"{names[0]}: {shown} {TEXT}"))
    return cases


RESOURCES = {"cpu": 1, "ram": 1024, "ephemeral_disk_size": 1024}


def _resources() -> list[Case]:
    cases = []
    for name, value in [
        ("cpu", 0),
        ("cpu", "2"),
        ("cpu", 1.5),
        ("ram", True),
        ("ram", -1),
        ("ephemeral_disk_size", None),
        ("ephemeral_disk_size", [1]),
    ]:
        given = call("calculate_vm_cloud_properties", {**RESOURCES, name: value})
        shown = repr(value).replace("[", r"\[")
        message = rf"vm_resources\.{name}: {shown} must be a whole number above 0"
        cases.append(Case(f"resources: {name} {value!r}", given, message))
    return cases


def create_vm(**changes: Any) -> dict[str, Any]:
    """Return a request for a VM, of a stemcell that the daemon has, with changes."""
    arguments: dict[str, Any] = {
        "agent_id": "agent-1",
        "stemcell_cid": "THE STEMCELL",
        "cloud_properties": {},
        "networks": {"n": {"type": "dynamic", "cloud_properties": {}}},
        "disk_cids": [],
        "env": {},
    }
    return call("create_vm", *{**arguments, **changes}.values(), api_version=2)


ARGUMENTS = [
    Case("a surrogate in a cid", call("has_vm", "\ud800"), "vm_cid: not a text that UTF-8"),
    Case("a NUL in a cid", call("has_vm", "a\0b"), "vm_cid: must not hold a NUL"),
    Case("a NUL in a path", call("create_stemcell", "/a\0b", {}), "image_path: .*NUL"),
    Case(
        "no image",
        call("create_stemcell", "/no/such", {}),
        "image_path: /no/such: No such file",
    ),
    Case(
        "a directory as image",
        call("create_stemcell", "/", {}),
        "image_path: /: not an ordinary file",
    ),
    Case(
        "properties of a stemcell",
        call("create_stemcell", "/x", [1]),
        r"cloud_properties: \[1\] must be an object",
    ),
    Case(
        "tags of a stemcell",
        call("create_stemcell", "/x", {}, "t"),
        "env: .*must be an object",
    ),
    Case(
        "metadata of a VM",
        call("set_vm_metadata", "vm-1", None),
        "metadata: None must be an object",
    ),
    Case(
        "metadata of a disk",
        call("set_disk_metadata", "d-1", "x"),
        "metadata: 'x' must be an object",
    ),
    Case(
        "resources in a list",
        call("calculate_vm_cloud_properties", [2]),
        r"vm_resources: \[2\] must be an object",
    ),
    Case("stemcell of a VM", create_vm(stemcell_cid=7), f"stemcell_cid: 7 {TEXT}"),
    Case(
        "properties of a VM",
        create_vm(cloud_properties="m"),
        "cloud_properties: 'm' must be an object",
    ),
    Case("networks in a list", create_vm(networks=[]), r"networks: \[\] must be an object"),
    Case("networks of null", create_vm(networks=None), "networks: None must be an object"),
    Case(
        "disks in a text",
        create_vm(disk_cids="d-1"),
        "disk_cids: 'd-1' must be a list of strings",
    ),
    Case("disks of numbers", create_vm(disk_cids=[5]), "disk_cids: 5 must be a string"),
    Case(
        "env in a list", create_vm(env=["sesame"]), "env: (?!.*sesame).*must be an object"
    ),
    Case("env in a text", create_vm(env="sesame"), "env: (?!.*sesame).*must be an object"),
    Case(
        "a long agent id",
        create_vm(agent_id="a" * 70_000),
        "agent_id: .*(bytes|characters|long)",
    ),
]

CASES = [*ENVELOPES, *METHODS, *_counts(), *_first_texts(), *_resources(), *ARGUMENTS]
