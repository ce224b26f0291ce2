"""The reducer: a dump is the truth whatever came before; facts of others end at their deadlines."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Network, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import events as ev
from agent.model import (
    Address,
    Delegation,
    FamilyHealth,
    Link,
    Neighbour,
    NodeState,
    PolicyRule,
    Reach,
    Route,
    State,
    UplinkHealth,
    UplinkIPv4,
    UplinkLink,
)
from agent.reduce import expire, next_deadline, reduce

indexes = st.integers(1, 4)
ips = st.sampled_from([ip_interface("10.0.0.1/24"), ip_interface("fd00::1/64"), ip_interface("fe80::1/64")])
networks = st.sampled_from([ip_network("10.0.0.0/24"), ip_network("fd00::/64"), ip_network("2001:db8::/48")])
links = st.builds(Link, index=indexes, name=st.sampled_from(["wan", "dmz", "home"]), carrier=st.booleans())
addresses = st.builds(Address, index=indexes, ip=ips, tentative=st.booleans())
routes = st.builds(
    Route, destination=networks, index=st.none() | indexes, kind=st.sampled_from(["unicast", "unreachable"])
)
rules = st.builds(PolicyRule, family=st.sampled_from([4, 6]), priority=st.integers(1, 3), table=st.just(1001))
neighbours = st.builds(
    Neighbour, index=indexes, ip=st.sampled_from([ip_address("10.0.0.9"), ip_address("fe80::9")]), mac=st.just("02::")
)
kernel_events = st.one_of(
    st.builds(ev.LinkChanged, links),
    st.builds(ev.LinkGone, indexes),
    st.builds(ev.AddressChanged, addresses),
    st.builds(ev.AddressGone, indexes, ips),
    st.builds(ev.RouteChanged, routes),
    st.builds(ev.RouteGone, routes),
    st.builds(ev.RuleChanged, rules),
    st.builds(ev.RuleGone, rules),
    st.builds(ev.NeighbourChanged, neighbours),
    st.builds(ev.NeighbourGone, indexes, st.sampled_from([ip_address("10.0.0.9")])),
)
dumps = st.builds(
    ev.Dump,
    st.lists(links, max_size=3).map(tuple),
    st.lists(addresses, max_size=3).map(tuple),
    st.lists(routes, max_size=3).map(tuple),
    st.lists(rules, max_size=3).map(tuple),
    st.lists(neighbours, max_size=3).map(tuple),
)


def fold(events: list[ev.Event], state: State | None = None, now: float = 0.0) -> State:
    state = state or State()
    for event in events:
        state = reduce(state, event, now)
    return state


@given(st.lists(kernel_events, max_size=12), dumps)
def test_any_order_of_events_followed_by_a_dump_equals_the_dump(events: list[ev.Event], dump: ev.Dump) -> None:
    assert fold([*events, dump]) == fold([dump])


@given(dumps, st.lists(kernel_events, max_size=6))
def test_an_event_told_twice_changes_nothing_more(dump: ev.Dump, events: list[ev.Event]) -> None:
    state = fold([dump, *events])
    for event in events[-1:]:
        assert reduce(state, event, 0.0) == state


@given(dumps, indexes)
def test_with_a_link_goes_all_that_hangs_on_it(dump: ev.Dump, index: int) -> None:
    state = fold([dump, ev.LinkGone(index)])
    assert index not in state.links
    assert all(address.index != index for address in state.addresses.values())
    assert all(route.index != index for route in state.routes)
    assert all(neighbour.index != index for neighbour in state.neighbours.values())


def test_nothing_is_synced_before_the_first_dump() -> None:
    assert not fold([ev.LinkChanged(Link(1, "wan"))]).synced
    assert fold([ev.Dump()]).synced


def test_a_stale_lost_never_overrides_a_newer_birth() -> None:
    born = ev.FactReceived("kpn", "state", NodeState("ready", "new"))
    late = ev.FactReceived("kpn", "state", NodeState("lost", "old"))
    own = ev.FactReceived("kpn", "state", NodeState("lost", "new"))
    state = fold([born, late])
    assert state.peers["kpn"].state == NodeState("ready", "new")
    assert reduce(state, own, 0.0).peers["kpn"].state == NodeState("lost", "new")


def test_facts_end_at_their_deadline_and_not_before() -> None:
    address = UplinkIPv4(IPv4Interface("192.0.2.2/24"))
    prefix = Delegation(IPv6Network("2001:db8::/48"), valid_until=200.0)
    state = fold(
        [
            ev.FactReceived("kpn", "uplink/ipv4", address, until=100.0),
            ev.FactReceived("kpn", "uplink/prefix/48", prefix, until=300.0),
        ]
    )
    assert next_deadline(state) == 100.0
    assert expire(state, 99.9) is state
    state = reduce(state, ev.Tick(), 100.0)
    assert state.peers["kpn"].ipv4 is None
    assert next_deadline(state) == 200.0
    assert reduce(state, ev.Tick(), 200.0).peers["kpn"].delegations == {}


def test_a_withdrawn_fact_is_gone() -> None:
    prefix = Delegation(IPv6Network("2001:db8::/48"))
    received = [
        ev.FactReceived("kpn", "uplink/ipv4", UplinkIPv4(IPv4Interface("192.0.2.2/24"))),
        ev.FactReceived("kpn", "uplink/prefix/48", prefix),
    ]
    state = fold([*received, ev.FactWithdrawn("kpn", "uplink/ipv4"), ev.FactWithdrawn("kpn", "uplink/prefix/48")])
    assert state.peers["kpn"].ipv4 is None
    assert not state.peers["kpn"].delegations


def test_what_the_bus_said_is_newer_than_what_was_written_down() -> None:
    new = ev.FactReceived("kpn", "state", NodeState("ready", "new"))
    state = fold([new])
    old = fold([ev.FactReceived("kpn", "state", NodeState("ready", "old"))]).peers
    state = reduce(state, ev.Remembered(state.memory, tuple(old.items())), 0.0)
    assert state.peers["kpn"].state == NodeState("ready", "new")


@pytest.mark.parametrize("length", ["²", "", "-1", "9" * 5000, "48/x"])
def test_a_withdrawal_of_nonsense_changes_nothing(length: str) -> None:
    state = fold([ev.FactReceived("kpn", "uplink/prefix/48", Delegation(IPv6Network("2001:db8::/48")))])
    assert reduce(state, ev.FactWithdrawn("kpn", f"uplink/prefix/{length}"), 0.0) == state


def test_what_an_ingress_says_on_the_dmz_is_back_is_back_though_the_bus_is_dead() -> None:
    up, down = FamilyHealth(up=True), FamilyHealth(up=False)
    state = reduce(State(), ev.FactReceived("kpn", "uplink/link", UplinkLink(carrier=False, mtu=1500)), 0.0)
    state = reduce(state, ev.FactReceived("kpn", "uplink/health", UplinkHealth(down, down)), 0.0)
    state = reduce(state, ev.ReachChanged({"kpn": Reach("refused", "refused"), "odido": Reach("up", "up")}), 1.0)
    assert state.peers["kpn"].link == UplinkLink(carrier=False, mtu=1500)
    back = reduce(state, ev.ReachChanged({"kpn": Reach("up", "refused")}), 2.0)
    assert back.peers["kpn"].link == UplinkLink(carrier=True, mtu=1500)
    assert back.peers["kpn"].health == UplinkHealth(None, down), "unknown, as far as it is back"
    again = reduce(back, ev.FactReceived("kpn", "uplink/health", UplinkHealth(down, up)), 3.0)
    same = reduce(again, ev.ReachChanged({"kpn": Reach("up", "up")}), 4.0)
    assert same.peers["kpn"].health == UplinkHealth(down, up), "it said so before the bus did: the bus is newer"
