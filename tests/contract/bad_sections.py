"""Sections of both configurations that are refused: TLS, disks, limits and the like."""

from __future__ import annotations

import re
from typing import Any

from tests.contract.cases import Case

PEM = "must be PEM, or the path of a file of it"
CA = "ca: /a, certificate: /b"
ALL = f"{{{CA}, private_key: /c}}"

CPI = [
    Case("a text as TLS", "{network_type: tcp, tls: yes please}", "tls: must hold ca"),
    Case("TLS of nothing", "{network_type: tcp, tls: {}}", f"tls.ca: {PEM}"),
    Case(
        "TLS without a key",
        f"{{network_type: tcp, tls: {{{CA}}}}}",
        f"tls.private_key: {PEM}",
    ),
    Case(
        "TLS with an empty CA",
        "{network_type: tcp, tls: {ca: ''}}",
        f"tls.ca: {PEM}",
    ),
    Case(
        "an unknown key of TLS",
        "{network_type: tcp, tls: {cert: /a}}",
        "tls.cert: unknown key; the known ones are ca, certificate, private_key",
    ),
    Case("TLS on a socket", f"tls: {ALL}", "tls: goes with network_type tcp alone"),
    *[
        Case(
            f"{value} as timeout",
            f"connect_timeout: {value}",
            r"connect_timeout: .* must be a number of seconds",
        )
        for value in ("soon", "-1", "true", "[1]", ".nan", "-.inf")
    ],
]


def _daemon(key: str, rows: list[tuple[Any, str]]) -> list[Case]:
    """Make a row for each value of a key, written as YAML."""
    section, _, name = key.partition(".")
    cases = []
    for value, accepted in rows:
        text = f"{section}: {{{name}: {value}}}" if name else f"{section}: {value}"
        message = rf"{re.escape(key)}: (.* )?must be {accepted}"
        cases.append(Case(f"{key} {value}", text, message))
    return cases


WHOLE, TRUTH = "a whole number from 1 to", "true or false"
ROOT = "a whole number from 64 to 8388608, or 0 for no bound"
PIDS = "a whole number from 64 to 4194304"
IDS = "FIRST-LAST, such as"
PORT = r"IP:PORT or \[IPv6\]:PORT"
DAEMON = [
    *[
        Case(f"a text as {key}", f"{key}: x", f"{key}: 'x' must be keys and values")
        for key in ("disks", "events", "http", "limits", "security", "vms")
    ],
    *[
        Case(f"an unknown key of {key}", f"{key}: {{x: 1}}", rf"{key}\.x: unknown key; the")
        for key in ("disks", "events", "http", "limits", "security", "vms")
    ],
    *_daemon("http.address", [(9998, PORT), ("x", PORT), ("'1.2.3.4:0'", PORT)]),
    *_daemon("http.address", [("'::1:9998'", PORT), ("/run/http.sock", PORT)]),
    *_daemon("http.allow_from", [("192.0.2.0/24", "a list of texts"), ("[x]", "networks")]),
    Case("a text as TLS of http", "http: {tls: x}", "http.tls: 'x' must be keys and"),
    Case(
        "TLS of http without keys",
        "http: {tls: {certificate: /a}}",
        f"http.tls.private_key: {PEM}",
    ),
    *_daemon(
        "visit_timeout",
        [("soon", "a number"), ("true", "a number"), (0, "from 1 to 600")]
        + [(601, "from 1 to 600"), (".nan", "from 1 to 600")],
    ),
    *_daemon(
        "repair_interval",
        [("often", "a number"), ("true", "a number"), (9, "from 10 to 86400")]
        + [(86401, "from 10 to 86400"), (".nan", "from 10 to 86400")],
    ),
    *_daemon("nat", [("'yes'", TRUTH), (1, TRUTH)]),
    *_daemon("disks.driver", [("zfs", "image or directory"), (5, "image or directory")]),
    *_daemon("disks.filesystem", [("btrfs", "ext4 or xfs"), ("[ext4]", "ext4 or xfs")]),
    *_daemon("disks.direct_io", [("'yes'", TRUTH), (1, TRUTH)]),
    *_daemon("disks.allocation", [("thin", "sparse or full")]),
    *_daemon(
        "disks.overcommit",
        [("much", "a number"), ("true", "a number"), (0, "from 0.01"), (".nan", "from")],
    ),
    *_daemon("disks.overcommit", [(-1, "from 0.01"), (".inf", "from"), (1001, "from")]),
    *_daemon("limits.connections", [(0, WHOLE), (1.5, WHOLE), ("many", WHOLE)]),
    *_daemon("limits.strangers", [(0, WHOLE), (100001, WHOLE)]),
    *_daemon("limits.calls", [(-1, WHOLE), ("true", WHOLE), (10001, WHOLE)]),
    *_daemon("limits.followers", [(0, WHOLE), (1001, WHOLE)]),
    *_daemon("events.size", [(0, WHOLE), ("32M", WHOLE), (4097, WHOLE)]),
    *_daemon("limits.message_bytes", [("32M", WHOLE), (0, WHOLE)]),
    *_daemon("limits.first_seconds", [("x", "a number"), (0, "from 1"), (3601, "from 1")]),
    *_daemon("limits.idle_seconds", [("null", "a number"), (".nan", "from 1")]),
    *_daemon("security.profile", [("none", "default, isolated or privileged")]),
    *_daemon("security.profile", [("true", "default, isolated or privileged")]),
    *_daemon("security.ids", [(65536, IDS), ("'65536'", IDS), ("65536-65535", IDS)]),
    *_daemon("security.ids", [("0-65535", IDS), ("65537-131071", IDS), ("'1-'", IDS)]),
    *_daemon("security.ids", [("65536-131072", IDS), ("2147483648-2147549183", IDS)]),
    *_daemon("security.anti_spoofing", [("'yes'", TRUTH), (1, TRUTH)]),
    *_daemon("vms.pids", [("many", PIDS), (63, PIDS), (1 << 23, PIDS), (1e3, PIDS)]),
    *_daemon("vms.root_disk_size", [("much", ROOT), (63, ROOT), ("true", ROOT)]),
    *_daemon(
        "vms.lxcfs", [("true", "auto, off or"), ("here", "auto, off or"), (1, "auto")]
    ),
    *_daemon("vms.root_disk_size", [(-1, ROOT), (1 << 24, ROOT), ("false", ROOT)]),
    *_daemon("socket_mode", [("'0888'", "octal"), ("rw", "octal"), ("'1777'", "octal")]),
    Case("a number as mode", "socket_mode: 660", "socket_mode: 660 must be a file mode in"),
    Case("a mode without quotes", "socket_mode: 0660", "socket_mode: 432 must be .*quotes"),
    Case("an unknown group", "socket_group: no-such", "socket_group: there is no group"),
    Case("a number as group", "socket_group: 0", "socket_group: 0 must be the name of"),
    Case(
        "a mode of a port",
        "{network_type: tcp, socket_mode: '0660'}",
        "socket_mode: goes with network_type unix alone",
    ),
    Case("TLS of a socket", f"tls: {ALL}", "tls: goes with network_type tcp alone"),
    Case("access to a socket", "allow_from: []", "allow_from: goes with network_type tcp"),
    Case("users of a socket", "allow_users: []", "allow_users: goes with network_type tcp"),
    Case(
        "users with TLS",
        f"{{network_type: tcp, tls: {ALL}, allow_users: [root]}}",
        "allow_users: goes without tls alone",
    ),
    *[
        Case(
            f"{value} as users",
            f"{{network_type: tcp, allow_users: {value}}}",
            f"allow_users: {message}",
        )
        for value, message in (
            ("root", "'root' must be a list of names or uids"),
            ("{root: 0}", ".* must be a list of names or uids"),
            ("[no-such]", "there is no user 'no-such'"),
            ("['']", "there is no user ''"),
            ("[-1]", "-1 must be a whole number from 0"),
            ("[4294967295]", "4294967295 must be a whole number from 0 to 4294967294"),
            ("[1.5]", "1.5 must be a user's name or uid"),
            ("[true]", "True must be a user's name or uid"),
            ("[[root]]", ".* must be a user's name or uid"),
        )
    ],
    Case("a text as TLS", "{network_type: tcp, tls: x}", "tls: 'x' must be keys and"),
    Case("a path from here", "{network_type: tcp, tls: ./c}", "tls: './c' .*absolute path"),
    Case("an odd path", '{network_type: tcp, tls: "/a\\0"}', "tls: .*absolute path"),
    Case("TLS of a list", "{network_type: tcp, tls: []}", r"tls: \[\] must be keys and"),
    Case("TLS of nothing", "{network_type: tcp, tls: {}}", f"tls.certificate: {PEM}"),
    Case(
        "TLS without a CA",
        "{network_type: tcp, tls: {certificate: /a, private_key: /b}}",
        f"tls.ca: {PEM}",
    ),
    Case(
        "an unknown key of TLS",
        "{network_type: tcp, tls: {cert: /a}}",
        "tls.cert: unknown key; the known ones are certificate, private_key, ca, allowed",
    ),
    Case(
        "a text as clients",
        f"{{network_type: tcp, tls: {{{CA}, private_key: /c, allowed_clients: x}}}}",
        "tls.allowed_clients: 'x' must be a list of texts",
    ),
    *[
        Case(
            f"{value} to allow",
            f"{{network_type: tcp, allow_from: {value}}}",
            "allow_from: .*must be ",
        )
        for value in ("192.0.2.0/24", "[x]", "[5]", "[192.0.2.1/24]", "{a: b}", "['']")
    ],
]
