"""dual-uplink.yaml on top: DHCP on VLAN 300 with NAT66, and WireGuard through the firewall with NAT66."""

from __future__ import annotations

import re

from tests.vm.guest.containers.demo import KPN_SOURCES, Demo, Wire, browses

ODIDO = {4: "198.51.100.1", 6: "2001:db8:b:"}
TUNNEL = {4: "10.64.0.2", 6: "fd64::2"}
OUTER = "udp port 51820"


def test_kpn_s_container_made_anew_is_the_same_customer(dual: Demo, line: Wire) -> None:
    """Another mount, so another container with the old one's volume."""
    assert dual.run("ingress-kpn", "cat", "/etc/router/router.yaml").startswith(
        "# router-home.yaml with the public key"
    )
    asks = "vlan 6 and pppoes and ip6"
    text = line.text(asks, "-v")
    # Before: the first container's PADT; after it: the second one's.
    assert len(re.findall(r"dhcp6 (?:solicit|request|rebind|confirm)", text)) > 2
    assert line.text("vlan 6 and pppoed").count("PADS") >= 2
    duids, iaids = re.findall(r"\(client-ID ([^)]*)\)", text), re.findall(r"\(IA_PD IAID:(\d+)", text)
    assert len(set(duids)) == 1
    assert set(iaids) == {"2"}
    assert "dhcp6 release" not in text
    assert "RELEASE" not in dual.logs("isp-kpn")


def test_network_that_prefers_odido_goes_by_vlan_300(dual: Demo) -> None:
    with Wire(dual.bridge("line-odido"), "odido") as wire:
        browses(dual, "phone", ODIDO)
        # One IPv6 address and no prefix: NAT66.
        wire.wait("vlan 300 and tcp port 80", "198.51.100.1")
        wire.wait("vlan 300 and tcp port 80", "2001:db8:b:")
    assert wire.text("vlan 300 and (ip net 10.0.0.0/8 or ip6 net fd4b:9ca2:1d70::/48)") == ""


def test_network_that_prefers_the_tunnel_goes_by_wireguard(dual: Demo) -> None:
    dual.run("firewall", "routerctl", "uplink", "vpn", "prefer")
    browses(dual, "lamp", TUNNEL)
    # The outer packets leave like any client's: by the uplink that was up first, and they stay there (soft failback).
    assert "latest handshake" in dual.run("ingress-vpn", "wg", "show", "wan")
    # A network whose list of uplinks has no tunnel never uses it.
    assert dual.seen(dual.process("client"), 4).startswith(KPN_SOURCES[4])


def test_without_kpn_all_go_on_by_odido_the_tunnel_too(dual: Demo) -> None:
    dual.compose("stop", "ingress-kpn")
    browses(dual, "client", ODIDO)
    with Wire(dual.bridge("line-odido"), "odido") as wire:
        browses(dual, "lamp", TUNNEL)
        wire.wait(f"vlan 300 and {OUTER}", "198.51.100.1")


def test_guards_stopped_nothing(dual: Demo) -> None:
    for service in ("ingress-odido", "ingress-vpn"):
        assert "guard       0 packets" in dual.status(service)
