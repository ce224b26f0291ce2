"""One field at a time: addresses, ports, names, what is wrong and how to mend it."""

from __future__ import annotations

import pytest

from tests.unit.config.kit import config, expect, host, network, rule, uplink

PEER = 'peer: { public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.51.100.7:51820" }'
CASES: dict[str, tuple[dict[str, str], str, str, str]] = {
    "IPv4 network": (
        network("{ ipv4: 10.10.0.0 }"),
        "networks.home.ipv4",
        "`10.10.0.0` has no prefix length",
        "like 10.10.0.0/24",
    ),
    "IPv4 network, nonsense": (
        network("{ ipv4: 10.10.0/24 }"),
        "networks.home.ipv4",
        "is not an IPv4 network",
        "10.10.0.254/24 to choose the address",
    ),
    "IPv4 network too small": (
        network("{ ipv4: 10.10.0.0/31 }"),
        "networks.home.ipv4",
        "leaves no room",
        "prefix length of 30 or less",
    ),
    "broadcast": (
        network("{ ipv4: 10.10.0.255/24 }"),
        "networks.home.ipv4",
        "broadcast address of 10.10.0.0/24",
        "10.10.0.0/24",
    ),
    "pool": (
        network("{ ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.9 } }"),
        "networks.home.dhcp4.pool",
        "`10.10.0.9` is not a range of addresses",
        "10.10.0.100-10.10.0.199",
    ),
    "pool backwards": (
        network("{ ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.9-10.10.0.2 } }"),
        "networks.home.dhcp4.pool",
        "ends before it begins",
        "write 10.10.0.2-10.10.0.9",
    ),
    "duration without unit": (
        network("{ ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.2-10.10.0.9, lease: 3600 } }"),
        "networks.home.dhcp4.lease",
        "`3600` has no unit",
        "one of ms s m h d, like 3600s",
    ),
    "IPv6 address": (
        host("{ network: home, suffix: 5 }"),
        "hosts.nas.suffix",
        "`5` is not an IPv6 address",
        "in quotes",
    ),
    "IPv6 scope": (
        host("{ network: home, suffix: 'fe80::1%a' }"),
        "hosts.nas.suffix",
        "not an IPv6 address",
        "in quotes",
    ),
    "IPv4 address": (
        host("{ network: home, ipv4: 10.1 }"),
        "hosts.nas.ipv4",
        "`10.1` is not an IPv4 address",
        "four numbers",
    ),
    "MAC": (host("{ network: home, mac: 02-00-00-00-10-05 }"), "hosts.nas.mac", "not a MAC address", "six hex bytes"),
    "group MAC": (host("{ network: home, mac: '01:00:5e:00:00:01' }"), "hosts.nas.mac", "one device", "permanent MAC"),
    "delegation": (
        uplink("{ kind: dhcp, ipv6: { delegation: 65 } }"),
        "uplinks.kpn.ipv6.delegation",
        "`65` is not a",
        "or none",
    ),
    "static prefix": (
        uplink('{ kind: static, ipv6: { address: "2001:db8::1/64", gateway: "fe80::1", prefix: "2001:db8::1/64" } }'),
        "uplinks.kpn.ipv6.prefix",
        "has host bits set",
        "write 2001:db8::/64",
    ),
    "mtu": (uplink("{ kind: dhcp, mtu: 100 }"), "uplinks.kpn.mtu", "`100` is too small", "write at least 576"),
    "key": (
        uplink(f"{{ kind: wireguard, private_key_file: k, addresses: [10.64.0.2/32], {PEER.replace('AAA=', 'A')} }}"),
        "uplinks.kpn.peer.public_key",
        "this is not a WireGuard key",
        "`wg pubkey`",
    ),
    "endpoint": (
        uplink(f"{{ kind: wireguard, private_key_file: k, addresses: [10.64.0.2/32], {PEER.replace(':51820', '')} }}"),
        "uplinks.kpn.peer.endpoint",
        "`198.51.100.7` is not a host and a port",
        "[2001:db8::1]:51820",
    ),
    "tunnel address": (
        uplink(f"{{ kind: wireguard, private_key_file: k, addresses: [10.64.0.2], {PEER} }}"),
        "uplinks.kpn.addresses[0]",
        "has no prefix length",
        "with one",
    ),
    "interface name": (
        network("{ interface: { name: a234567890123456 } }"),
        "networks.home.interface.name",
        "is not the name of a network interface",
        "at most 15 characters",
    ),
    "port": (
        rule("{ from: any, to: any, tcp: 70000, action: drop }"),
        "rules[0].tcp",
        "70000 is not a port",
        "1 to 65535",
    ),
    "port 0": (rule("{ from: any, to: any, tcp: 0, action: drop }"), "rules[0].tcp", "0 is not a port", "1 to 65535"),
    "ports backwards": (
        rule("{ from: any, to: any, tcp: 9-2, action: drop }"),
        "rules[0].tcp",
        "ends before",
        "write 2-9",
    ),
    "ports of a service": (
        rule("{ from: any, to: any, tcp: https, action: drop }"),
        "rules[0].tcp",
        "`https` is not",
        "443",
    ),
    "no ports": (
        rule("{ from: any, to: any, tcp: [], action: drop }"),
        "rules[0].tcp",
        "an empty list",
        "leave the key out",
    ),
    "bus port": (
        {"bus": "bus: { host: a, port: 0, password_file: p, users_file: u } # here"},
        "bus.port",
        "not a port",
        "65535",
    ),
    "path": (
        {"bus": "bus: { host: a, password_file: 5, users_file: u } # here"},
        "bus.password_file",
        "`5` is not a path",
        "/run",
    ),
    "text": (
        {"bus": "bus: { host: 5, password_file: p, users_file: u } # here"},
        "bus.host",
        "`5` is not a text",
        "quote it",
    ),
    "label": (
        {"site": "site: { name: my home, prefix: 'fd00::/48' } # here"},
        "site.name",
        "`my home` is not a name",
        "like home",
    ),
    "domain": (
        {"site": "site: { name: a, prefix: 'fd00::/48', domain: 'a..b' } # here"},
        "site.domain",
        "`a..b` is not a domain",
        "like home.arpa",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_errors(case: str) -> None:
    sections, key, message, mend = CASES[case]
    expect(config(**sections), key, message, mend)
