from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

import pytest

from agent.desired import Plan
from agent.desired.firewall import FirewallTable
from agent.model import Neighbour, PrefixMapping, UplinkIPv4, UplinkIPv6
from agent.plan.firewall import plan_firewall
from tests.golden.firewall_cases import NOW, Case, cases

LAB, HOME = cases()["lab"], cases()["home"]


def said(case: Case, name: str, **link: Any) -> Case:
    """The case with an ingress saying something else of itself on the DMZ."""
    peer = case.peers[name]
    assert peer.link is not None
    return replace(case, peers={**case.peers, name: replace(peer, link=replace(peer.link, **link))})


def fact(case: Case, name: str, **facts: Any) -> Case:
    return replace(case, peers={**case.peers, name: replace(case.peers[name], **facts)})


def plan(case: Case) -> Plan:
    return plan_firewall(case.settings, case.state, NOW)


def complaints(found: Plan, name: str) -> list[str]:
    return [problem.message for problem in found.problems if problem.part == f"uplink/{name}"]


def hops(found: Plan, mark: int) -> set[str]:
    return {str(r.gateway) for r in found.routes if r.table == 1000 + mark and r.gateway is not None}


def test_honest_ingresses_are_believed() -> None:
    found = plan(LAB)
    assert (hops(found, 1), hops(found, 2)) == ({"10.99.0.10", "fe80::a"}, {"10.99.0.11", "fe80::b"})
    assert complaints(found, "kpn") == complaints(found, "odido") == []


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("10.10.0.5", "outside"),
        ("203.0.113.1", "outside"),
        ("10.99.0.1", "the firewall's"),
        ("10.99.0.10", "kept for kpn"),
    ],
)
def test_an_address_on_the_dmz_belongs_to_its_claimant(address: str, word: str) -> None:
    found = plan(said(LAB, "odido", ipv4=IPv4Address(address)))
    assert hops(found, 2) == {"fe80::b"}
    assert hops(found, 1) == {"10.99.0.10", "fe80::a"}
    assert [word in message for message in complaints(found, "odido")] == [True]


def test_a_lease_from_before_is_used_while_its_keeper_has_another() -> None:
    moved = said(said(LAB, "odido", ipv4=IPv4Address("10.99.0.10")), "kpn", ipv4=IPv4Address("10.99.0.20"))
    found = plan(moved)
    assert (hops(found, 1), hops(found, 2)) == ({"10.99.0.20", "fe80::a"}, {"10.99.0.10", "fe80::b"})
    assert "10.99.0.11 is kept for it" in complaints(found, "odido")[0]


@pytest.mark.parametrize("address", ["fe80::1", "fe80::a", "2001:db8::1"])
def test_a_link_local_address_belongs_to_its_claimant(address: str) -> None:
    found = plan(said(LAB, "odido", link_local=IPv6Address(address)))
    assert hops(found, 2) == {"10.99.0.11"}
    assert len(complaints(found, "odido")) == 1


def test_two_cannot_have_one_mac() -> None:
    found = plan(said(LAB, "odido", mac="02:00:00:00:99:0a"))
    assert hops(found, 2) == set()
    assert isinstance(found.nft, FirewallTable)
    assert found.nft.ingress == (("02:00:00:00:99:0a", 1),)


def test_the_configured_mac_is_the_ingress() -> None:
    found = plan(said(HOME, "kpn", mac="02:66:66:66:66:66"))
    assert hops(found, 1) == set()
    assert "f0:00:00:00:02:03" in complaints(found, "kpn")[0]
    silent = plan(said(HOME, "kpn", mac=""))
    assert isinstance(silent.nft, FirewallTable)
    assert ("f0:00:00:00:02:03", 1) in silent.nft.ingress


@pytest.mark.parametrize(("state", "believed"), [("reachable", False), ("stale", True), ("permanent", True)])
def test_a_neighbour_that_answers_with_another_mac_is_a_lie_found(state: str, believed: bool) -> None:
    dmz = next(link.index for link in LAB.links.values() if link.name == "dmz")
    seen = Neighbour(dmz, IPv4Address("10.99.0.10"), "02:66:66:66:66:66", state)
    found = plan_firewall(LAB.settings, replace(LAB.state, neighbours={(dmz, seen.ip): seen}), NOW)
    assert bool(hops(found, 1)) == believed
    assert bool(complaints(found, "kpn")) != believed


@pytest.mark.parametrize(
    "external", ["2001:db8:a100::/48", "2001:db8:a100:7::/64", "2001:db8::/32"], ids=["same", "within", "around"]
)
def test_a_prefix_of_another_uplink_is_refused(external: str) -> None:
    outside = IPv6Network(external)
    ipv6 = UplinkIPv6("prefix", mappings=(PrefixMapping(LAB.settings.site.prefix, outside),))
    found = plan(fact(LAB, "odido", ipv6=ipv6))
    assert isinstance(found.nft, FirewallTable)
    assert [prefix for prefix, mark in found.nft.external6 if mark == 2] == []
    assert len(complaints(found, "odido")) >= 1


def test_a_prefix_of_the_plan_is_refused() -> None:
    inside = LAB.settings.network_prefix("home")
    assert inside is not None
    found = plan(fact(LAB, "odido", ipv6=UplinkIPv6("nat66", (IPv6Interface((int(inside[9]), 64)),))))
    assert isinstance(found.nft, FirewallTable)
    assert [prefix for prefix, mark in found.nft.external6 if mark == 2] == []
    assert "site.prefix" in complaints(found, "odido")[0]


def test_an_isp_that_uses_a_network_of_ours_is_reported_and_still_used() -> None:
    found = plan(fact(LAB, "odido", ipv4=UplinkIPv4(IPv4Interface("10.10.0.77/24"))))
    assert isinstance(found.nft, FirewallTable)
    assert [prefix for prefix, mark in found.nft.external4 if mark == 2] == []
    assert "network home" in complaints(found, "odido")[0]
    assert dict(found.nft.choice4)["guest"] == 2


def test_the_same_prefix_inside_and_outside_is_the_identity() -> None:
    hoster = cases()["hoster"]
    found = plan(hoster)
    assert isinstance(found.nft, FirewallTable)
    assert found.nft.external6 == ()
    assert complaints(found, "hetzner") == []
    assert dict(found.nft.choice6) == {"vms": 1}
