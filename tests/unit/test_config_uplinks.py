from __future__ import annotations

import pytest

from agent.config import DhcpUplink, WireguardUplink
from tests.unit.config.kit import GOOD, config, expect, settings

KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
OUT = "rules: [ { from: dmz, to: internet, udp: 51820, action: accept } ]"


def uplinks(*lines: str, kpn: str = "kpn: { kind: dhcp }") -> str:
    return "uplinks:\n" + "".join(f"  {line}\n" for line in (kpn, *lines) if line)


def tunnel(name: str = "vpn", *, addresses: str = "[10.64.0.2/32]", more: str = "", keepalive: str = "25s") -> str:
    peer = f'peer: {{ public_key: "{KEY}", endpoint: "198.51.100.7:51820", keepalive: {keepalive} }}'
    return f"{name}: {{ kind: wireguard, private_key_file: k, addresses: {addresses}, {more} {peer} }}"


def probed(targets: str = "[1.1.1.1]", interval: str = "1s", timeout: str = "1s") -> str:
    return uplinks(
        kpn=f"kpn: {{ kind: dhcp, probe: {{ targets: {targets}, interval: {interval}, timeout: {timeout} }} }} # here"
    )


def static(ipv4: str = "", ipv6: str = "", more: str = "") -> str:
    parts = [f"ipv4: {ipv4}" if ipv4 else "", f"ipv6: {ipv6}" if ipv6 else "", more]
    return uplinks(f"s: {{ kind: static{''.join(f', {part}' for part in parts if part)} }} # here")


ERRORS = {
    "static without addresses": (static(), "uplinks.s", "without addresses", "add `ipv4` or `ipv6`"),
    "gateway is the address": (
        static(ipv4="{ address: 192.0.2.1/26, gateway: 192.0.2.1 }"),
        "uplinks.s.ipv4.gateway",
        "192.0.2.1 is the uplink's own address",
        "the provider's router",
    ),
    "gateway off the link": (
        static(ipv4="{ address: 192.0.2.1/26, gateway: 192.0.2.77 }"),
        "uplinks.s.ipv4.gateway",
        "192.0.2.77 is not on the link of 192.0.2.1/26",
        "write a gateway of 192.0.2.0/26, or the address as 192.0.2.1/32",
    ),
    "gateway6 off the link": (
        static(ipv6='{ address: "2001:db8:1::2/64", gateway: "2001:db8:2::1" }'),
        "uplinks.s.ipv6.gateway",
        "is not on the link",
        "write a gateway of 2001:db8:1::/64",
    ),
    "proxy for no prefix": (
        static(ipv6='{ address: "2001:db8:1::2/64", gateway: "fe80::1", neighbours: proxy }'),
        "uplinks.s.ipv6.neighbours",
        "an NDP proxy for no prefix",
        "add `prefix: …`",
    ),
    "prefix overlaps the plan": (
        static(ipv6='{ address: "2001:db8:1::2/64", gateway: "fe80::1", prefix: "fd4b:9ca2:1d70:5::/64" }'),
        "uplinks.s.ipv6.prefix",
        "fd4b:9ca2:1d70:5::/64 overlaps `site.prefix`, fd4b:9ca2:1d70::/48",
        "write the same prefix in both",
    ),
    "address in the plan": (
        static(ipv6='{ address: "fd4b:9ca2:1d70:5::2/64", gateway: "fe80::1" }'),
        "uplinks.s.ipv6.address",
        "lies in `site.prefix`",
        "another `site.prefix`",
    ),
    "tunnel address in the plan": (
        uplinks(tunnel(addresses='["fd4b:9ca2:1d70::2/128"]') + " # here"),
        "uplinks.vpn.addresses[0]",
        "lies in `site.prefix`",
        "another `site.prefix`",
    ),
    "mtu too small": (
        uplinks(kpn="kpn: { kind: dhcp, mtu: 1000 } # here"),
        "uplinks.kpn.mtu",
        "IPv6 needs 1280",
        "at least 1280",
    ),
    "mtu of pppoe": (
        uplinks(kpn="kpn: { kind: pppoe, username: u, password_file: p, mtu: 1501 } # here"),
        "uplinks.kpn.mtu",
        "1501 on PPPoE",
        "write 1492, or 1500",
    ),
    "tunnel without addresses": (
        uplinks(tunnel(addresses="[]") + " # here"),
        "uplinks.vpn.addresses",
        "without addresses",
        "as the VPN provider gave them",
    ),
    "keepalive": (
        uplinks(tunnel(keepalive="1500ms") + " # here"),
        "uplinks.vpn.peer.keepalive",
        "whole seconds",
        "like 25s",
    ),
    "tunnel alone": (
        uplinks(tunnel() + " # here", kpn=""),
        "uplinks.vpn",
        "of another kind below it",
        "pppoe, dhcp or static",
    ),
    "probe without targets": (
        probed(targets="[]"),
        "uplinks.kpn.probe.targets",
        "without targets",
        "or delete `probe`",
    ),
    "probe floods": (probed(interval="50ms", timeout="50ms"), "uplinks.kpn.probe.interval", "a flood", "100ms or more"),
    "probe overlaps itself": (
        probed(interval="300ms", timeout="400ms"),
        "uplinks.kpn.probe.timeout",
        "must end before the next one begins",
        "at most the interval",
    ),
    "probe inside": (
        probed(targets="[1.1.1.1, 10.10.0.5]"),
        "uplinks.kpn.probe.targets[1]",
        "10.10.0.5 is not outside",
        "beyond the ISP",
    ),
    "probe inside, IPv6": (
        probed(targets='["fd4b:9ca2:1d70::1"]'),
        "uplinks.kpn.probe.targets[0]",
        "is not outside",
        "beyond the ISP",
    ),
    "probe twice": (probed(targets="[1.1.1.1, 1.1.1.1]"), "uplinks.kpn.probe.targets[1]", "listed twice", "delete one"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    section, key, message, mend = ERRORS[case]
    expect(config(uplinks=section, rules=OUT), key, message, mend)


def test_the_transit_network_may_not_list_a_tunnel() -> None:
    dmz = (
        "dmz: { ipv4: 10.99.0.0/24, transit: true, uplinks: [kpn, vpn], dhcp4: { pool: 10.99.0.10-10.99.0.19 } } # here"
    )
    text = config(uplinks=uplinks(tunnel()), networks=f"networks:\n  {dmz}", hosts="", rules=OUT)
    expect(text, "networks.dmz.uplinks[1]", "its own outer packets would go through it", "delete it from this list")


def test_a_tunnel_that_no_rule_lets_out_is_a_warning() -> None:
    text = config(uplinks=uplinks(tunnel() + " # here"))
    mend = "{ from: dmz, to: internet, udp: 51820, action: accept }"
    expect(text, "uplinks.vpn.peer.endpoint", "no rule lets", mend, level="warning")


def test_a_tunnel_larger_than_its_uplink_is_a_warning() -> None:
    text = config(uplinks=uplinks(tunnel(more="mtu: 1500,") + " # here"), rules=OUT)
    expect(text, "uplinks.vpn.mtu", "larger than most uplinks carry", "write 1420", level="warning")


@pytest.mark.parametrize(
    "ipv6",
    [
        '{ address: "2001:db8:1::2/64", gateway: "2001:db8:1::1" }',
        '{ address: "2001:db8:1::2/128", gateway: "2001:db8:9::1" }',
        '{ address: "2001:db8:1::2/64", gateway: "fe80::1" }',
    ],
)
def test_gateways_that_are_on_link(ipv6: str) -> None:
    assert "s" in settings(uplinks=static(ipv6=ipv6)).uplinks


def test_a_small_mtu_without_ipv6_is_good() -> None:
    section = static(ipv4="{ address: 192.0.2.1/32, gateway: 192.0.2.99 }", more="mtu: 1000")
    assert settings(uplinks=section).uplinks["s"].mtu == 1000


def test_kinds_and_their_defaults() -> None:
    found = settings(uplinks=uplinks(tunnel()), rules=OUT)
    kpn, vpn = found.uplinks["kpn"], found.uplinks["vpn"]
    assert isinstance(kpn, DhcpUplink)
    assert isinstance(vpn, WireguardUplink)
    assert (kpn.ipv6.nat66, kpn.mtu, kpn.priority, kpn.probe, kpn.interface, kpn.trunk) == (
        "auto",
        None,
        100,
        None,
        None,
        None,
    )
    assert (vpn.mtu, vpn.peer.keepalive, vpn.peer.endpoint.host, vpn.peer.endpoint.port) == (
        1420,
        25.0,
        "198.51.100.7",
        51820,
    )


@pytest.mark.parametrize(("written", "hint"), [("48", 48), ("56", 56), ("none", None), ("", 48)])
def test_the_hint_for_a_delegation(written: str, hint: int | None) -> None:
    ipv6 = f", ipv6: {{ delegation: {written} }}" if written else ""
    assert settings(uplinks=uplinks(kpn=f"kpn: {{ kind: dhcp{ipv6} }}")).delegation_hint("kpn") == hint


def test_other_kinds_ask_for_no_delegation() -> None:
    found = settings(uplinks=uplinks(tunnel()), rules=OUT)
    assert found.delegation_hint("vpn") is None


def test_nodes_and_roles() -> None:
    found = settings()
    assert found.nodes == ("firewall", "kpn", "odido")
    assert (found.role("firewall"), found.role("kpn")) == ("firewall", "ingress")
    with pytest.raises(LookupError, match="no node `kpm` in the configuration; there are firewall, kpn, odido"):
        found.role("kpm")


def test_no_uplinks_need_no_transit_network() -> None:
    found = settings(uplinks="", networks="networks: { home: { ipv4: 10.10.0.0/24, subnet: 1 } }", hosts=GOOD["hosts"])
    assert (found.transit, found.transit_name, found.uplinks_of("home")) == (None, None, ())
