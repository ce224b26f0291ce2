"""Many events at once make the state that one after the other makes."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce as chain
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent import events as ev
from agent.fold import fold
from agent.model import Address, Link, Neighbour, Route, State
from agent.reduce import reduce

NOW = 1.0
NETWORKS = [IPv6Network(f"2001:db8:{n}::/48") for n in range(3)]
ROUTES = st.builds(
    Route,
    st.sampled_from(NETWORKS),
    index=st.sampled_from([1, 2]),
    metric=st.sampled_from([0, 1024]),
    protocol=st.sampled_from([2, 98]),
)
ADDRESSES = st.builds(
    Address, st.sampled_from([1, 2]), st.sampled_from([IPv6Interface((net[1], 64)) for net in NETWORKS])
)
PLACES = st.tuples(st.sampled_from([1, 2]), st.sampled_from([IPv6Address(f"fe80::{n}") for n in range(3)]))
EVENTS = st.one_of(
    st.builds(ev.RouteChanged, ROUTES),
    st.builds(ev.RouteGone, ROUTES),
    st.builds(ev.AddressChanged, ADDRESSES),
    ADDRESSES.map(lambda a: ev.AddressGone(a.index, a.ip)),
    PLACES.map(lambda p: ev.NeighbourChanged(Neighbour(*p, mac="02:00:00:00:00:01"))),
    PLACES.map(lambda p: ev.NeighbourGone(*p)),
    st.builds(ev.LinkGone, st.sampled_from([1, 2])),
)
# Long runs of one kind, as the kernel tells them.
RUNS = st.lists(
    st.one_of(
        st.lists(st.one_of(st.builds(ev.RouteChanged, ROUTES), st.builds(ev.RouteGone, ROUTES)), max_size=30),
        st.lists(EVENTS, max_size=20),
    ),
    max_size=4,
)


@hypothesis_settings(deadline=None)
@given(st.frozensets(ROUTES, max_size=8), RUNS)
def test_it_is_the_same_as_one_by_one(routes: frozenset[Route], runs: list[list[ev.Event]]) -> None:
    events = [event for run in runs for event in run]
    begin = replace(State(synced=True, links={1: Link(1, "a"), 2: Link(2, "b")}), routes=routes)
    wanted = chain(lambda state, event: reduce(state, event, NOW), events, begin)
    assert fold(begin, events, NOW) == wanted
