from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Interface, ip_network
from itertools import pairwise
from statistics import median
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.desired import FlowEnd, Plan
from agent.desired.advertise import RadvdConfig
from agent.desired.dhcp4 import KeaDhcp4Config
from agent.desired.firewall import FirewallTable
from agent.model import FamilyHealth, Memory, NodeState, Peer, State, UplinkHealth, UplinkIPv6
from agent.plan.firewall import plan_firewall
from agent.plan.networks import LAST_METRIC
from agent.render import render_file, render_ruleset
from tests.golden.firewall_cases import HOME, NOW, Case, cases, links, settings

CASES = cases()
ALL_GOOD = CASES["lab"]


def changed(name: str, case: Case = ALL_GOOD, **facts: Any) -> Case:
    """The case with an ingress saying something else."""
    return replace(case, peers={**case.peers, name: replace(case.peers[name], **facts)})


def plan(case: Case, now: float = NOW, memory: Memory | None = None) -> Plan:
    return plan_firewall(case.settings, replace(case.state, memory=memory or Memory()), now)


def table(found: Plan) -> FirewallTable:
    assert isinstance(found.nft, FirewallTable)
    return found.nft


def chosen(found: Plan, family: int) -> dict[str, int]:
    return dict(table(found).choice4 if family == 4 else table(found).choice6)


def defaults(found: Plan) -> set[tuple[int, int]]:
    """(family, table) of the default routes that lead somewhere."""
    return {(r.destination.version, r.table) for r in found.routes if r.kind == "unicast" and r.table > 1000}


def down(name: str, case: Case = ALL_GOOD) -> Case:
    link = case.peers[name].link
    assert link is not None
    return changed(name, case, link=replace(link, carrier=False))


def lifetimes(found: Plan) -> dict[str, int]:
    (radvd,) = (document for document in found.files if isinstance(document, RadvdConfig))
    return {interface.device: interface.lifetime for interface in radvd.interfaces}


def test_all_is_well() -> None:
    found = plan(ALL_GOOD)
    assert chosen(found, 4) == chosen(found, 6) == {"home": 1, "guest": 2, "iot": 1, "management": 1, "dmz": 1}
    assert defaults(found) == {(4, 1001), (6, 1001), (4, 1002), (6, 1002)}
    assert found.flows == ()
    assert lifetimes(found) == {"home": 1800, "guest": 1800, "iot": 1800, "management": 1800, "dmz": 0}


def test_a_link_down_moves_the_networks_and_ends_the_flows() -> None:
    found = plan(down("kpn"))
    assert set(chosen(found, 4).values()) == set(chosen(found, 6).values()) == {2}
    assert defaults(found) == {(4, 1002), (6, 1002)}
    assert set(found.flows) == {FlowEnd(4, mark=1, mask=0x1FF, reset=True), FlowEnd(6, mark=1, mask=0x1FF, reset=True)}


def test_flows_are_left_alone_where_no_network_has_another_uplink() -> None:
    found = plan(down("odido", down("kpn")))
    assert found.flows == ()
    assert chosen(found, 4) == chosen(found, 6) == {}
    assert set(lifetimes(found).values()) == {0}


def test_an_uplink_of_which_nothing_was_heard_is_not_down() -> None:
    quiet = replace(ALL_GOOD, peers={"kpn": ALL_GOOD.peers["kpn"]})
    assert plan(quiet).flows == ()
    assert set(chosen(plan(quiet), 4).values()) == {1}


def test_an_agent_that_is_lost_does_not_take_its_uplink_down() -> None:
    assert chosen(plan(changed("kpn", state=NodeState("lost", "s"))), 4) == chosen(plan(ALL_GOOD), 4)


def test_one_family_may_fail_alone() -> None:
    found = plan(changed("kpn", ipv6=UplinkIPv6("none")))
    assert chosen(found, 4)["home"] == 1
    assert chosen(found, 6)["home"] == 2
    assert found.flows == (FlowEnd(6, mark=1, mask=0x1FF, reset=True),)


def test_a_lease_ends_by_time_alone() -> None:
    lease = 500.0  # of kpn's IPv4
    before, after = plan(ALL_GOOD, NOW + lease - 1), plan(ALL_GOOD, NOW + lease)
    assert before.again_at == NOW + lease
    assert (chosen(before, 4)["home"], chosen(after, 4)["home"]) == (1, 2)
    assert chosen(after, 6)["home"] == 1
    assert not [prefix for prefix, mark in table(after).external4 if mark == 1]


def test_health_that_failed_moves_and_health_that_expired_is_unknown() -> None:
    bad = UplinkHealth(FamilyHealth(up=False), FamilyHealth(up=True), valid_until=NOW + 5)
    case = changed("kpn", health=bad)
    found = plan(case)
    assert (chosen(found, 4)["home"], chosen(found, 6)["home"]) == (2, 1)
    assert (4, 1001) in defaults(found)  # what has no better uplink stays on it
    assert found.again_at == NOW + 5
    assert chosen(plan(case, NOW + 5), 4)["home"] == 1


def test_a_failback_ends_nothing() -> None:
    memory = plan(down("kpn")).memory
    assert plan(ALL_GOOD, memory=memory).flows == ()


@pytest.mark.rfc("7084", "G-4")
def test_a_network_without_a_usable_ipv6_uplink_is_no_default_router() -> None:
    found = plan(changed("odido", changed("kpn", ipv6=UplinkIPv6("none")), ipv6=None))
    assert set(lifetimes(found).values()) == {0}
    assert chosen(found, 4)["home"] == 1


def test_marks_are_kept_when_the_configuration_changes() -> None:
    found = plan(ALL_GOOD, memory=Memory(marks=MappingProxyType({"odido": 1, "gone": 2})))
    assert found.memory.marks == {"odido": 1, "gone": 2, "kpn": 3}
    assert chosen(found, 4)["home"] == 3
    assert {rule.priority for rule in found.rules} == {100, 201, 203, 500}  # the last: the router itself


@pytest.mark.rfc("7084", "WPD-5")
def test_what_is_nowhere_is_unreachable_and_tables_have_an_end() -> None:
    found = plan(replace(ALL_GOOD, peers={}))
    ends = {(str(r.destination), r.table) for r in found.routes if r.kind == "unreachable" and r.metric == LAST_METRIC}
    site = str(ALL_GOOD.settings.site.prefix)
    assert {(site, 254), ("10.10.0.0/24", 254), ("0.0.0.0/0", 1001), ("::/0", 1001), ("::/0", 1002)} <= ends


def test_a_missing_link_is_reported_and_the_rest_goes_on() -> None:
    found = plan(replace(ALL_GOOD, links=links("home", "dmz")))
    assert {problem.part for problem in found.problems} >= {"link/guest", "link/iot", "link/management"}
    assert set(lifetimes(found)) == {"home", "dmz"}
    (kea,) = (document for document in found.files if isinstance(document, KeaDhcp4Config))
    assert [subnet.device for subnet in kea.subnets] == ["home", "dmz"]
    assert chosen(found, 4)["guest"] == 2  # its rules stand before the link does


def test_a_pinhole_that_an_uplink_cannot_serve_is_reported() -> None:
    problems = [problem for problem in plan(CASES["home"]).problems if problem.part.startswith("rule/")]
    assert [problem.part for problem in problems] == ["rule/6"]
    assert "odido" in problems[0].message


def test_the_ingresses_are_permanent_neighbours_with_addresses_kept_for_them() -> None:
    found = plan(ALL_GOOD)
    (kea,) = (document for document in found.files if isinstance(document, KeaDhcp4Config))
    dmz = kea.subnets[-1]
    kept = {r.client_id: r.address for r in dmz.reservations if r.client_id}
    assert kept == {"kpn": IPv4Address("10.99.0.10"), "odido": IPv4Address("10.99.0.11")}
    assert {(str(n.ip), n.mac) for n in found.neighbours} == {
        ("10.99.0.10", "02:00:00:00:99:0a"),
        ("fe80::a", "02:00:00:00:99:0a"),
        ("10.99.0.11", "02:00:00:00:99:0b"),
        ("fe80::b", "02:00:00:00:99:0b"),
    }
    assert dmz.router is None
    assert ip_network("10.10.0.0/24") in [network for network, _ in dmz.routes]


def test_the_firewall_is_fe80_1_on_the_dmz_alone() -> None:
    wanted = plan(ALL_GOOD).addresses
    dmz = next(link.index for link in ALL_GOOD.links.values() if link.name == "dmz")
    assert {a.index for a in wanted if a.ip == IPv6Interface("fe80::1/64")} == {dmz}


def _peers() -> st.SearchStrategy[dict[str, Peer]]:
    good = ALL_GOOD.peers

    def peer(name: str) -> st.SearchStrategy[Peer]:
        of = good[name]
        assert of.link is not None
        return st.builds(
            Peer,
            link=st.sampled_from([of.link, replace(of.link, carrier=False), replace(of.link, ipv4=None), None]),
            ipv4=st.sampled_from([of.ipv4, None]),
            ipv6=st.sampled_from([of.ipv6, UplinkIPv6("none"), None]),
            health=st.sampled_from([None, of.health, UplinkHealth(FamilyHealth(up=False), None, NOW + 1)]),
        )

    return st.fixed_dictionaries({}, optional={name: peer(name) for name in good})


@given(_peers(), st.floats(NOW, NOW + 5000))
def test_whatever_is_known_the_plan_is_consistent(peers: dict[str, Peer], now: float) -> None:
    found = plan(replace(ALL_GOOD, peers=peers), now)
    nft = table(found)
    for family, choice in ((4, nft.choice4), (6, nft.choice6)):
        # A choice leads somewhere: its table has a route, its next hop a permanent neighbour.
        assert {(family, 1000 + mark) for _, mark in choice} <= defaults(found)
        # What is chosen is never ended, and nothing is ended without a target.
        ended = {flow.mark for flow in found.flows if flow.family == family}
        assert not ended & {mark for _, mark in choice}
        assert not ended or choice
    hops = {neighbour.ip for neighbour in found.neighbours}
    assert {r.gateway for r in found.routes if r.gateway is not None and r.table > 1000} <= hops
    prefixes = sorted(prefix for prefix, _ in nft.external6)
    assert not any(a.overlaps(b) for a, b in pairwise(prefixes))
    assert found.again_at is None or found.again_at > now


def test_an_event_of_an_uplink_changes_elements_only() -> None:
    one, other = plan(ALL_GOOD), plan(down("kpn"))
    assert render_ruleset(one.nft).skeleton is render_ruleset(other.nft).skeleton
    assert render_ruleset(one.nft).elements != render_ruleset(other.nft).elements


def test_an_event_is_planned_and_rendered_in_a_millisecond() -> None:
    state, other = CASES["home"].state, CASES["home-kpn-down"].state
    config = settings(HOME)

    def once(state: State) -> float:
        begun = time.perf_counter()
        found = plan_firewall(config, state, NOW)
        render_ruleset(found.nft)
        for document in found.files:
            render_file(document)
        return time.perf_counter() - begun

    times = [once(each) for _ in range(50) for each in (state, other)]
    assert median(times) < 0.004  # about 1 ms on an idle machine; room for a busy one
