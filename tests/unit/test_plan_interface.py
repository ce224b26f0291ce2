"""Roles and links: which device plays which role, and what must be made for it."""

from __future__ import annotations

import pytest

from agent.config import Interface
from agent.desired import WantedLink
from agent.model import Link, State
from agent.plan.interface import find_nic, resolve

MAC = "f0:00:00:00:00:03"
NIC = Link(4, "eth0", mac="02:00:00:00:00:99", permanent_mac=MAC)


def seen(*links: Link) -> State:
    return State(synced=True, links={link.index: link for link in links})


def by_mac(mac: str = MAC) -> Interface:
    return Interface(mac=mac, name=None)


def by_name(name: str) -> Interface:
    return Interface(mac=None, name=name)


def test_a_link_named_like_the_role_plays_it() -> None:
    named = Link(9, "home")
    role = resolve(seen(NIC, named), "home", None)
    assert role.link is named
    assert role.wanted == (WantedLink("home"),)
    assert role.problem is None


def test_a_file_with_vlans_serves_a_lab_without() -> None:
    named = Link(9, "home", kind="veth")
    role = resolve(seen(NIC, named), "home", by_mac(), vlan=10)
    assert (role.link, role.wanted) == (named, (WantedLink("home"),))


def test_else_the_nic_as_it_is() -> None:
    role = resolve(seen(NIC), "wan", by_mac(), mtu=1400, mac="02:00:00:00:00:01")
    assert role.link is NIC
    assert role.ifname == "eth0"
    assert role.wanted == (WantedLink("eth0", mac="02:00:00:00:00:01", mtu=1400),)


def test_with_a_vlan_a_link_on_the_nic() -> None:
    role = resolve(seen(NIC), "wan", by_mac(), vlan=6, mtu=1508)
    assert role.link is None
    assert role.ifname == "wan"
    # RFC 4638: the NIC must carry it too; its own MTU is never lowered.
    assert role.wanted == (WantedLink("eth0", mtu=1508), WantedLink("wan", parent=4, vlan=6, mtu=1508))
    assert resolve(seen(NIC), "wan", by_mac(), vlan=6, mtu=1400).wanted[0] == WantedLink("eth0")
    made = Link(7, "wan", mac=NIC.mac, kind="vlan", parent=4, vlan=6)
    again = resolve(seen(NIC, made), "wan", by_mac(), vlan=6, mtu=1508)
    assert again.link is made
    assert again.wanted == role.wanted


@pytest.mark.parametrize(
    "stale", [Link(7, "wan", kind="vlan", parent=4, vlan=5), Link(7, "wan", kind="vlan", parent=3, vlan=6)]
)
def test_a_vlan_link_of_another_configuration_is_not_used(stale: Link) -> None:
    role = resolve(seen(NIC, stale), "wan", by_mac(), vlan=6)
    assert role.link is None
    assert role.wanted[-1] == WantedLink("wan", parent=4, vlan=6)


def test_a_nic_is_known_by_its_permanent_mac_before_another_by_its_present_one() -> None:
    other = Link(2, "eth9", mac=MAC)
    assert find_nic(seen(other, NIC), by_mac()) is NIC
    assert find_nic(seen(other), by_mac()) is other  # a container's NIC has no permanent one
    taken = Link(2, "eth9", mac=MAC, permanent_mac="02:00:00:00:00:01")
    assert find_nic(seen(taken), by_mac()) is None


@pytest.mark.parametrize("kind", ["vlan", "bridge", "bond"])
def test_what_repeats_the_mac_of_a_nic_is_not_it(kind: str) -> None:
    child = Link(1, "eth0.6", mac=MAC, kind=kind)
    assert find_nic(seen(child), by_mac()) is None
    assert find_nic(seen(child, NIC), by_mac()) is NIC


def test_by_name() -> None:
    assert find_nic(seen(NIC), by_name("eth0")) is NIC
    assert find_nic(seen(NIC), by_name("eth1")) is None
    assert find_nic(seen(NIC), None) is None


@pytest.mark.parametrize(
    ("match", "says"), [(by_mac("f0:00:00:00:00:77"), "f0:00:00:00:00:77"), (by_name("eth7"), "eth7"), (None, "wan")]
)
def test_what_is_missing_is_said_with_the_way_to_mend_it(match: Interface | None, says: str) -> None:
    role = resolve(seen(NIC), "wan", match, vlan=6)
    assert role.link is None
    assert not role.wanted
    assert role.problem is not None
    assert says in role.problem.message
    assert role.problem.hint
