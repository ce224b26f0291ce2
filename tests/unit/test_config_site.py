"""`site`, `bus`, names: what concerns the whole router."""

from __future__ import annotations

import pytest

from tests.unit.config.kit import config, expect, report, settings


def site(prefix: str, name: str = "test") -> str:
    return f'site: {{ name: {name}, prefix: "{prefix}" }} # here'


@pytest.mark.parametrize(
    ("prefix", "message", "mend"),
    [
        ("fd00::/72", "too small for one network", "/64 or shorter"),
        ("fe80::/48", "not a prefix for hosts", "fd00::/8"),
        ("ff00::/48", "not a prefix for hosts", "fd00::/8"),
        ("fc00::/7", "not a prefix for hosts", "fd00::/8"),
        ("fd00:1::5/48", "`fd00:1::5/48` has host bits set", "write fd00:1::/48"),
        ("fd00:1::", "has no prefix length", "like fd00:1::/24 (IPv4) or fd00:1::/64"),
        ("10.0.0.0/8", "is not an IPv6 prefix", '"2001:db8::/48"'),
    ],
)
def test_prefixes_that_cannot_be(prefix: str, message: str, mend: str) -> None:
    expect(config(site=site(prefix), networks="", uplinks="", hosts=""), "site.prefix", message, mend)


@pytest.mark.parametrize("prefix", ["2a00:1450::/32", "fc00:1::/48", "2600::/48"])
def test_somebody_elses_prefix_is_a_warning(prefix: str) -> None:
    expect(config(site=site(prefix)), "site.prefix", "is it yours?", "never somebody else's", level="warning")


@pytest.mark.parametrize("prefix", ["fd4b:9ca2:1d70::/48", "2001:db8:77::/48", "3fff:1::/48"])
def test_prefixes_without_a_warning(prefix: str) -> None:
    assert not report(config(site=site(prefix))).warnings


def test_the_prefix_of_an_uplink_is_ones_own() -> None:
    ipv6 = '{ address: "2a00:1450::1/76", gateway: "fe80::1", prefix: "2a00:1450::/64" }'
    text = config(
        site=site("2a00:1450::/64"),
        networks=DMZ,
        hosts="",
        uplinks=f"uplinks: {{ s: {{ kind: static, ipv6: {ipv6} }} }}",
    )
    assert report(text).ok
    assert not report(text).warnings


DMZ = "networks: { dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } } }"
TLS = "tls: { ca_file: a, cert_file: c, key_file: k }"
BUS = {
    "TLS port without TLS": (
        "{ host: a, port: 8883, password_file: p, users_file: u }",
        "bus.port",
        "8883 is the port of MQTT over TLS",
        "add `tls: { ca_file: …, cert_file: …, key_file: … }`",
    ),
    "broker without users": ("{ host: a, password_file: p }", "bus.users_file", "knows no users", "`users_file: …`"),
    "broker without certificate": (
        "{ host: a, port: 8883, tls: { ca_file: a }, password_file: p, users_file: u }",
        "bus.tls.cert_file",
        "our own broker needs a certificate",
        "add `cert_file: …`",
    ),
    "certificate without key": (
        "{ host: a, port: 8883, tls: { ca_file: a, cert_file: c }, password_file: p, users_file: u }",
        "bus.tls.key_file",
        "go together",
        "add `key_file: …`",
    ),
    "key without certificate": (
        "{ host: a, port: 8883, broker: external, tls: { ca_file: a, key_file: c }, password_file: p }",
        "bus.tls.cert_file",
        "go together",
        "add `cert_file: …`",
    ),
}


@pytest.mark.parametrize("case", BUS)
def test_bus_errors(case: str) -> None:
    section, key, message, mend = BUS[case]
    expect(config(bus=f"bus: {section} # here"), key, message, mend)


def test_tls_on_the_plain_port_is_a_warning() -> None:
    text = config(bus=f"bus: {{ host: a, {TLS}, port: 1883, password_file: p, users_file: u }} # here")
    expect(text, "bus.port", "1883 is the port of plain MQTT", "8883", level="warning")


def test_docker_hosts_without_tls_are_a_warning() -> None:
    text = config(
        bus="bus: { host: a, password_file: p, users_file: u } # here",
        docker_hosts='docker_hosts: { vm1: { network: home, index: 2, mac: "02:00:00:00:00:02" } }',
    )
    expect(text, "bus", "the bus is plain MQTT", "add `tls`", level="warning")


def test_an_external_broker_needs_no_users() -> None:
    found = settings(bus="bus: { host: mqtt.example, broker: external, password_file: secrets/p }")
    assert (found.bus.broker, found.bus.users_file, found.bus.port, found.bus.tls) == ("external", None, 1883, None)


NAMES = {
    "capital": ("hosts", "Nas", "`Nas` is not a name", "at most 15 of a-z 0-9 -"),
    "too long": ("networks", "a234567890123456", "is not a name", "at most 15"),
    "digit first": ("forwards", "1st", "is not a name", "the first one a letter"),
    "reserved": ("networks", "wan", "`wan` is a reserved word", "choose another name; reserved are all, any,"),
    "reserved host": ("hosts", "internet", "`internet` is a reserved word", "choose another name"),
    "sysctl's": ("networks", "default", "`default` is a reserved word", "choose another name"),
    "host and network": ("hosts", "home", "`home` is a name in `networks` too", "rename one of the two"),
    "the bus's reader": ("uplinks", "observer", "the bus's user that only reads", "choose another name"),
}
BODIES = {
    "networks": "{ subnet: 0x77 }",
    "hosts": "{ network: home, ipv4: 10.10.0.7 }",
    "uplinks": "{ kind: dhcp }",
    "forwards": "{ tcp: 443, to: nas }",
}
LEAD = {
    "networks": "  home: { subnet: 1, ipv4: 10.10.0.0/24 }\n  dmz: { transit: true }\n",
    "hosts": "  nas: { network: home, ipv4: 10.10.0.5 }\n",
    "uplinks": "",
    "forwards": "",
}


@pytest.mark.parametrize("case", NAMES)
def test_names(case: str) -> None:
    section, name, message, mend = NAMES[case]
    text = f"{section}:\n{LEAD[section]}  {name}: {BODIES[section]} # here"
    sections = {"hosts": ""} if section == "networks" else {}
    expect(config(**(sections | {section: text})), f"{section}.{name}", message, mend)


def test_nodes_share_a_name_space() -> None:
    text = config(
        bus=f"bus: {{ host: a, port: 8883, {TLS}, password_file: p, users_file: u }}",
        docker_hosts='docker_hosts:\n  kpn: { network: home, index: 2, mac: "02:00:00:00:00:02" } # here',
    )
    expect(text, "docker_hosts.kpn", "`kpn` is a name in `uplinks` too", "rename one of the two")
