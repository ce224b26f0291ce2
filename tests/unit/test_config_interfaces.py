from __future__ import annotations

import pytest

from tests.unit.config.kit import config, expect, report, settings

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
POOL = "dhcp4: { pool: 10.99.0.10-10.99.0.19 }"


def networks(*lines: str, dmz: str = "") -> str:
    transit = f"dmz: {{ {dmz} ipv4: 10.99.0.0/24, transit: true, {POOL} }}"
    return "networks:\n" + "".join(f"  {line}\n" for line in (transit, *lines))


def uplinks(*lines: str) -> str:
    return "uplinks:\n" + "".join(f"  {line}\n" for line in lines)


TRUNK = f'firewall: {{ trunk: {{ mac: "{A}" }} }}'
ERRORS: dict[str, tuple[dict[str, str], str, str, str]] = {
    "VLAN twice on the trunk": (
        {"firewall": TRUNK, "networks": networks("a: { vlan: 10, subnet: 1 }", "b: { vlan: 10, subnet: 2 } # here")},
        "networks.b.vlan",
        f"network `b` and network `a` have one interface (VLAN 10 on {A})",
        "a VLAN or a NIC of its own",
    ),
    "one NIC for two": (
        {
            "networks": networks(
                "a: { interface: { name: eth1 }, subnet: 1 }", "b: { interface: { name: eth1 }, subnet: 2 } # here"
            )
        },
        "networks.b.interface",
        "have one interface (no `vlan`, the NIC itself: eth1)",
        "a VLAN or a NIC of its own",
    ),
    "VLAN without a trunk": (
        {"networks": networks("a: { vlan: 10, subnet: 1 } # here")},
        "networks.a.vlan",
        "VLAN 10 of no NIC: there is no trunk",
        "add `firewall: { trunk: … }`",
    ),
    "uplink and DMZ on one NIC": (
        {"uplinks": uplinks("kpn: { kind: dhcp, interface: { name: eth0 }, trunk: { name: eth0 } } # here")},
        "uplinks.kpn.trunk",
        "the transit network and the uplink have one interface",
        "a VLAN or a NIC of its own",
    ),
    "neither MAC nor name": (
        {"uplinks": uplinks("kpn: { kind: dhcp, interface: {} } # here")},
        "uplinks.kpn.interface",
        "neither `mac` nor `name`",
        "{ name: eth0 }",
    ),
    "MAC and name": (
        {"firewall": f'firewall: {{ trunk: {{ mac: "{A}", name: eth0 }} }} # here'},
        "firewall.trunk",
        "both `mac` and `name`",
        "keep one of the two",
    ),
    "one MAC on two nodes": (
        {
            "uplinks": uplinks(
                f'kpn: {{ kind: dhcp, interface: {{ mac: "{A}" }} }}',
                f'odido: {{ kind: dhcp, interface: {{ mac: "{A}" }} }} # here',
            )
        },
        "uplinks.odido.interface.mac",
        f"{A} is the MAC address of node `kpn` too",
        "of this device",
    ),
    "set_mac of another node": (
        {
            "firewall": TRUNK,
            "uplinks": uplinks(f'kpn: {{ kind: dhcp, set_mac: "{A}" }} # here'),
        },
        "uplinks.kpn.set_mac",
        f"{A} is the MAC address of node `firewall` too",
        "of this device",
    ),
    "a host with a node's MAC": (
        {"firewall": TRUNK, "hosts": f'hosts:\n  x: {{ network: dmz, ipv4: 10.99.0.5, mac: "{A}" }} # here'},
        "hosts.x.mac",
        "node `firewall`",
        "of this device",
    ),
    "two hosts in one network": (
        {
            "hosts": f'hosts:\n  x: {{ network: dmz, ipv4: 10.99.0.5, mac: "{A}" }}\n'
            f'  y: {{ network: dmz, ipv4: 10.99.0.6, mac: "{A.upper()}" }} # here'
        },
        "hosts.y.mac",
        f"{A} is the MAC address of `x` in the same network too",
        "of this device",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    sections, key, message, mend = ERRORS[case]
    expect(config(**({"hosts": "", "networks": networks()} | sections)), key, message, mend)


def test_what_may_share_a_nic() -> None:
    found = report(
        config(
            firewall=TRUNK,
            networks=networks("a: { vlan: 10, subnet: 1 }", "b: { vlan: 11, subnet: 2 }", dmz="vlan: 99,"),
            uplinks=uplinks(
                f'kpn: {{ kind: dhcp, vlan: 6, interface: {{ mac: "{B}" }}, trunk: {{ mac: "{B}" }} }}',
                "odido: { kind: dhcp, interface: { name: eth0 }, trunk: { name: eth1 } }",
                "other: { kind: dhcp, interface: { name: eth0 }, trunk: { name: eth1 } }",
            ),
            hosts="hosts:\n"
            f'  x: {{ network: a, mac: "{C}", suffix: "::5" }}\n'
            f'  y: {{ network: b, mac: "{C}", suffix: "::5" }}',
        )
    )
    assert found.ok, found.render_text()


def test_a_lab_without_vlans_trunks_and_macs() -> None:
    found = settings(
        networks=networks("home: { subnet: 1, ipv4: 10.10.0.0/24 }"), uplinks=uplinks("kpn: { kind: dhcp }")
    )
    assert found.firewall.trunk is None
    assert found.networks["home"].interface is None


def test_a_mac_is_lower_case_whatever_is_written() -> None:
    found = settings(firewall='firewall: { trunk: { mac: "F0:00:00:00:02:04" } }')
    assert found.firewall.trunk is not None
    assert found.firewall.trunk.mac == "f0:00:00:00:02:04"
