"""The plan of an ingress: delegations from netlink, the mode ladder, what is said and what is kept."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, IPv6Network, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.desired import FlowEnd, Plan
from agent.desired.ingress import IngressTable
from agent.model import PROTOCOL_DHCP, PROTOCOL_OURS, Address, Delegation, Route, State, UplinkIPv4, UplinkIPv6
from agent.plan.ingress import plan_ingress
from agent.plan.ingress_delegation import live
from agent.plan.ipv6_mode import Wish, climb
from tests.golden.firewall_cases import LAB, settings
from tests.golden.ingress_cases import DMZ, NOW, PREFIX, WAN, WAN6, Case, cases, lease, state

ONE, OTHER = "2001:db8:a100::/48", "2001:db8:b100::/48"
SITE = IPv6Network("fd4b:9ca2:1d70::/48")


def plan(seen: State, *, now: float = NOW, node: str = "kpn") -> Plan:
    return plan_ingress(settings(LAB), node, seen, now)


def table(found: Plan) -> IngressTable:
    assert isinstance(found.nft, IngressTable)
    return found.nft


def external(found: Plan) -> list[str]:
    return [str(mapping.external) for mapping in table(found).mappings]


def fact6(found: Plan) -> UplinkIPv6:
    return next(one.fact for one in found.facts if isinstance(one.fact, UplinkIPv6))


def test_a_prefix_route_by_hand_is_enough() -> None:
    assert external(plan(state(PREFIX))) == [PREFIX]
    assert fact6(plan(state(PREFIX))).mode == "prefix"


@pytest.mark.parametrize(
    "route",
    [
        Route(ip_network(PREFIX), 1, kind="unreachable", protocol=PROTOCOL_OURS),
        Route(ip_network(PREFIX), 1, kind="unicast", protocol=PROTOCOL_DHCP),
        Route(ip_network("fd4b:9ca2:1d70:8::/64"), 1, kind="unreachable", protocol=PROTOCOL_DHCP),
        Route(ip_network("fd77::/48"), 1, kind="unreachable", protocol=PROTOCOL_DHCP),
        Route(ip_network("10.0.0.0/8"), 1, kind="unreachable", protocol=PROTOCOL_DHCP),
    ],
)
def test_other_routes_are_no_delegation(route: Route) -> None:
    seen = state()
    assert not external(plan(replace(seen, routes=seen.routes | {route})))


def test_a_delegated_address_is_a_delegation_too() -> None:
    seen = state()
    put = Address(DMZ, ip_interface("2001:db8:a100:7::1/64"), valid_until=NOW + 50)
    found = plan(replace(seen, addresses={**seen.addresses, (DMZ, put.ip): put}))
    assert external(found) == ["2001:db8:a100:7::/64"]
    assert found.again_at == NOW + 50
    ours = replace(put, protocol=PROTOCOL_OURS)
    assert not external(plan(replace(seen, addresses={**seen.addresses, (DMZ, ours.ip): ours})))
    internal = replace(put, ip=ip_interface("fd4b:9ca2:1d70:99::a/64"))
    assert not external(plan(replace(seen, addresses={**seen.addresses, (DMZ, internal.ip): internal})))


def test_a_lease_alone_is_no_delegation_and_adds_lifetimes_to_one() -> None:
    assert not external(plan(state(leases=[lease(PREFIX, NOW + 5, NOW + 9)])))
    found = plan(state(PREFIX, leases=[lease(PREFIX, NOW + 5, NOW + 9)]))
    assert fact6(found).valid_until == NOW + 9
    assert found.again_at == NOW + 5
    said = {one.topic: one.fact for one in found.facts}["uplink/prefix/48"]
    assert said == Delegation(IPv6Network(PREFIX), NOW + 5, NOW + 9)


@pytest.mark.rfc("8415", "valid")
def test_an_expired_prefix_is_not_mapped_though_its_route_is_there() -> None:
    seen = state(PREFIX, leases=[lease(PREFIX, NOW - 5, NOW + 9)])
    assert external(plan(seen)) == [PREFIX]
    assert plan(seen).again_at == NOW + 9
    assert not external(plan(seen, now=NOW + 9))
    assert fact6(plan(seen, now=NOW + 9)).mode == "nat66"


deadlines = st.none() | st.floats(0, 200)
held = st.builds(
    lambda number, length, preferred, valid: Delegation(
        IPv6Network((0x20010DB8 << 96 | number << 80, length)), preferred, valid
    ),
    st.integers(0, 5),
    st.sampled_from([48, 56, 60, 64]),
    deadlines,
    deadlines,
)


@pytest.mark.rfc("8415", "valid")
@given(st.lists(held, max_size=5), st.floats(0, 200))
def test_no_plan_ever_maps_to_an_expired_prefix(delegations: list[Delegation], now: float) -> None:
    wish = Wish(SITE, (("home", IPv6Network("fd4b:9ca2:1d70:10::/64")),))
    address = Address(WAN, ip_interface(WAN6))
    ladder = climb(wish, delegations, [address], {}, now)
    alive = [one.prefix for one in delegations if one.valid_until is None or one.valid_until > now]
    assert all(any(mapping.external.subnet_of(prefix) for prefix in alive) for mapping in ladder.mappings)
    assert bool(ladder.mappings) == bool(alive)
    coming = [m for one in delegations for m in (one.valid_until, one.preferred_until) if m is not None and m > now]
    assert ladder.again_at == (min(coming) if coming else None)


def test_of_several_the_longest_lived_preferred_one_is_used() -> None:
    short = Delegation(IPv6Network(ONE), NOW + 10, NOW + 100)
    long = Delegation(IPv6Network(OTHER), NOW + 10, NOW + 200)
    old = Delegation(IPv6Network("2001:db8:c100::/48"), NOW, NOW + 900)
    gone = Delegation(IPv6Network("2001:db8:d100::/48"), NOW, NOW)
    forever = Delegation(IPv6Network("2001:db8:e100::/48"))
    assert live([old, short, gone, long, forever], NOW) == (forever, long, short, old)
    assert live([long, replace(short, valid_until=long.valid_until)], NOW)[0].prefix == short.prefix


def test_nat66_waits_ten_seconds_for_a_delegation_that_was_asked_for() -> None:
    seen = state(created=NOW - 3)
    assert table(plan(seen)).nat66 is None
    assert plan(seen).again_at == NOW + 7
    assert table(plan(seen, now=NOW + 7)).nat66 == IPv6Address("2001:db8:a::2")
    assert plan(seen, now=NOW + 7).again_at is None
    assert table(plan(seen, node="odido")).nat66 is not None  # asks for none


def test_without_an_address_one_of_the_delegation_is_added_and_reserved() -> None:
    found = plan(state(PREFIX, addresses={}))
    own = IPv6Address("2001:db8:a100:ffff:ffff::1")
    assert {(one.index, one.ip, one.nodad) for one in found.addresses} == {(WAN, IPv6Interface((own, 128)), True)}
    assert table(found).own6 == (own,)
    assert table(found).source6 == own
    assert table(found).reserved6 == (IPv6Address("fd4b:9ca2:1d70:ffff:ffff::1"),)
    assert fact6(found).addresses == (IPv6Interface((own, 128)),)


@pytest.mark.parametrize("protocol", [PROTOCOL_OURS, 0])
def test_an_address_added_before_is_not_taken_for_the_isps(protocol: int) -> None:
    """Nor on a kernel that keeps no protocol of an address; its delegation may be gone."""
    seen = state(addresses={})
    added = Address(WAN, ip_interface("2001:db8:a100:ffff:ffff::1/128"), protocol=protocol)
    found = plan(replace(seen, addresses={**seen.addresses, (WAN, added.ip): added}))
    assert fact6(found).mode == "none"
    assert not found.addresses


@pytest.mark.parametrize(
    "change",
    [{"tentative": True}, {"failed": True}, {"scope": 253}, {"valid_until": NOW}, {"ip": ip_interface("fd77::1/64")}],
)
def test_an_address_that_cannot_be_used_is_not(change: dict[str, object]) -> None:
    seen = state(addresses={})
    address = replace(Address(WAN, ip_interface(WAN6)), **change)  # type: ignore[arg-type]
    found = plan(replace(seen, addresses={**seen.addresses, (WAN, address.ip): address}), node="odido")
    assert fact6(found).mode == "none"


def test_the_oldest_preferred_address_is_the_source() -> None:
    seen = state(addresses={})
    young = Address(WAN, ip_interface("2001:db8:a::1/64"), created=9)
    old = Address(WAN, ip_interface("2001:db8:a::9/64"), created=3)
    worn = Address(WAN, ip_interface("2001:db8:a::5/64"), created=1, deprecated=True)
    found = plan(replace(seen, addresses={(WAN, a.ip): a for a in (young, old, worn)}), node="odido")
    assert table(found).own6 == tuple(a.ip.ip for a in (old, young, worn))
    assert table(found).nat66 == old.ip.ip


def test_flows_end_only_where_there_is_something_to_begin_anew_with() -> None:
    assert plan(state(addresses={})).flows == ()
    own4 = FlowEnd(4, translated_source_not_in=frozenset({IPv4Address("192.0.2.2")}))
    own6 = FlowEnd(6, translated_source_not_in=frozenset({IPv6Address("2001:db8:a::2")}))
    assert plan(state()).flows == (own4, own6)
    assert plan(state(created=NOW)).flows == (own4,)  # NAT66 not yet: its old flows may come back
    assert plan(state(PREFIX)).flows == (own4, own6, FlowEnd(6, sources=(SITE,)))


def test_a_family_without_a_default_route_is_no_gateway() -> None:
    """RFC 7084 G-4."""
    seen = replace(state(PREFIX), routes=frozenset(r for r in state(PREFIX).routes if r.destination.prefixlen))
    found = plan(seen)
    assert fact6(found).mode == "none"
    assert not fact6(found).mappings
    assert not [one for one in found.facts if isinstance(one.fact, UplinkIPv4)]
    assert external(found) == [PREFIX]  # translated all the same: it harms nobody
    assert {problem.part for problem in found.problems} == {"ipv4", "ipv6"}


def test_without_an_uplink_it_is_closed_there_and_says_so() -> None:
    found = cases()["no-wan"].plan
    assert table(found).static.wan is None
    assert table(found).static.dmz == "dmz"
    assert [problem.part for problem in found.problems] == ["link/wan"]
    assert all(problem.hint for problem in found.problems)


@pytest.mark.parametrize("name", sorted(cases()))
def test_a_plan_is_the_same_every_time(name: str) -> None:
    case: Case = cases()[name]
    again = replace(case.state, routes=frozenset(sorted(case.state.routes, key=repr, reverse=True)))
    assert plan_ingress(case.settings, case.node, again, NOW) == case.plan


@pytest.mark.parametrize("name", sorted(cases()))
def test_what_is_remembered_changes_nothing_more(name: str) -> None:
    case = cases()[name]
    first = case.plan
    second = plan_ingress(case.settings, case.node, replace(case.state, memory=first.memory), NOW)
    assert second.memory is first.memory
    assert second.nft == first.nft


def test_a_hoster_prefix_is_routed_and_nothing_is_translated() -> None:
    found = cases()["hoster"].plan
    assert fact6(found).mode == "routed"
    assert not table(found).mappings
    assert table(found).static.routed6 == (IPv6Network("2001:db8:77:1::/64"),)
    assert table(found).nat66 is None


def test_a_network_keeps_its_number_while_another_prefix_is_in_force() -> None:
    first = plan(state("2001:db8:a100:ab00::/60"))
    assert first.memory.npt["home"] == 0
    whole = plan(replace(state(PREFIX), memory=first.memory))
    assert whole.memory == first.memory


def test_a_written_address_counts_though_we_put_it_there() -> None:
    case = cases()["hoster"]
    ours = {key: replace(one, protocol=PROTOCOL_OURS) for key, one in case.state.addresses.items()}
    found = plan_ingress(case.settings, case.node, replace(case.state, addresses=ours), NOW)
    assert fact6(found).addresses == (IPv6Interface("2001:db8:77:1:10::1/76"),)
