"""One field at a time: keys and kinds of values, what is wrong and how to mend it."""

from __future__ import annotations

import pytest

from tests.unit.config.kit import config, expect, host, network, report, rule, uplink

PEER = 'peer: { public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.51.100.7:51820" }'
CASES: dict[str, tuple[dict[str, str], str, str, str]] = {
    "unknown section": (
        {"log": "netwroks: {} # here"},
        "netwroks",
        "there is no key `netwroks` here",
        "write `networks`",
    ),
    "an argument of the library": (
        {"log": "_cli_parse_args: true # here"},
        "_cli_parse_args",
        "there is no key `_cli_parse_args` here",
        "delete it; the keys here are site, bus,",
    ),
    "unknown key": (network("{ vlna: 10 }"), "networks.home.vlna", "there is no key `vlna` here", "write `vlan`"),
    "unlike any key": (
        {"dns": "dns: { qqq: 1 } # here"},
        "dns.qqq",
        "there is no key `qqq` here",
        "delete it; the keys here are forwarders, ddns",
    ),
    "the name of an attribute": (
        rule("{ from_: home, from: home, to: any, action: drop }"),
        "rules[0].from_",
        "there is no key `from_` here",
        "write `from`",
    ),
    "key of another kind": (
        uplink("{ kind: dhcp, username: u }"),
        "uplinks.kpn.username",
        "there is no key `username` here for an uplink of kind dhcp",
        "delete it; the keys here are trunk, mtu,",
    ),
    "interface of a tunnel": (
        uplink(
            f"{{ kind: wireguard, private_key_file: k, addresses: [10.64.0.2/32], {PEER}, interface: {{ name: a }} }}"
        ),
        "uplinks.kpn.interface",
        "no key `interface` here for an uplink of kind wireguard",
        "delete it",
    ),
    "missing key": (
        uplink("{ kind: pppoe, password_file: p }"),
        "uplinks.kpn.username",
        "the key `username` is missing",
        "add `username: …` (user name of the PPP session)",
    ),
    "missing `from`": (
        rule("{ to: any, action: drop }"),
        "rules[0].from",
        "the key `from` is missing",
        "add `from: …`",
    ),
    "no kind": (uplink("{ mtu: 1500 }"), "uplinks.kpn", "the key `kind` is missing", "pppoe, dhcp, static, wireguard"),
    "unknown kind": (uplink("{ kind: ppoe }"), "uplinks.kpn", "`ppoe` is not a kind of uplink", "write `pppoe`"),
    "VLAN too large": (network("{ vlan: 5000 }"), "networks.home.vlan", "`5000` is too large", "write at most 4094"),
    "VLAN too small": (network("{ vlan: 0 }"), "networks.home.vlan", "`0` is too small", "write at least 1"),
    "quoted number": (
        network("{ vlan: '10' }"),
        "networks.home.vlan",
        "`10` is not a whole number",
        "write 10, without quotes or leading zeros",
    ),
    "leading zero": (
        network("{ subnet: 010 }"),
        "networks.home.subnet",
        "`010` is not a whole number",
        "write 10, without quotes or leading zeros",
    ),
    "word for a number": (
        network("{ vlan: ten }"),
        "networks.home.vlan",
        "`ten` is not a whole number",
        "decimal (16) or hex (0x10)",
    ),
    "truth for a number": (
        network("{ vlan: true }"),
        "networks.home.vlan",
        "true is not a whole",
        "write a whole number",
    ),
    "yes": (network("{ transit: yes }"), "networks.home.transit", "`yes` is neither true nor false", "true or false"),
    "number for a truth": (network("{ transit: 1 }"), "networks.home.transit", "`1` is neither", "write true or false"),
    "not one of the words": (
        network("{ addressing: public }"),
        "networks.home.addressing",
        "`public` is not one of the words",
        "write `internal`, `global` or `both`",
    ),
    "word for a list": (
        network("{ uplinks: kpn }"),
        "networks.home.uplinks",
        "`kpn` where a list is expected",
        "write [kpn]",
    ),
    "number for a list": ({"rules": "rules: 5 # here"}, "rules", "`5` where a list is expected", "write [a, b]"),
    "list for keys": (
        {"networks": "networks: [a] # here"},
        "networks",
        "a list where keys are expected",
        "`key: value`",
    ),
    "nothing for keys": (
        {"forwards": "forwards: # here"},
        "forwards",
        "nothing where keys are expected",
        "`key: value`",
    ),
    "word for keys": (
        network("{ dhcp4: on }"),
        "networks.home.dhcp4",
        "`on` where keys are expected",
        "{ key: value }",
    ),
    "empty list of words": (
        rule("{ from: [], to: any, action: drop }"),
        "rules[0].from",
        "an empty list",
        "at least one",
    ),
    "number for a name": (host("{ network: 5 }"), "hosts.nas.network", "`5` is not a name", "quote it"),
}


@pytest.mark.parametrize("case", CASES)
def test_errors(case: str) -> None:
    sections, key, message, mend = CASES[case]
    expect(config(**sections), key, message, mend)


def test_all_fields_at_once_and_in_order() -> None:
    found = report(config(**network("{ vlan: 5000, subnet: x, nme: 1 }"), **rule("{ to: any }")))
    assert [error.key for error in found.errors] == [
        "networks.home.vlan",
        "networks.home.subnet",
        "networks.home.nme",
        "rules[0].action",
        "rules[0].from",
    ]


def test_cross_references_come_after_the_fields() -> None:
    text = config(rules="rules: [ { from: nowhere, to: any, action: maybe } ]")
    assert [error.key for error in report(text).errors] == ["rules[0].action"]
