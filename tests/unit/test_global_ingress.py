"""An ingress whose prefix hosts have parts of: those are routed as they are, the rest is translated as before."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from ipaddress import IPv6Network, ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.config import Settings, load
from agent.desired import Plan
from agent.desired.ingress import IngressTable
from agent.model import PROTOCOL_RA, Delegation, Lease, Memory, Route, State
from agent.plan.ingress import plan_ingress
from agent.render import render_ruleset
from tests.golden.firewall_cases import LAB, settings
from tests.golden.ingress_cases import DMZ, NOW, PREFIX, state
from tests.lab import global_world

LENT = IPv6Network("2001:db8:a100:11::/64")


@cache
def lending() -> Settings:
    with TemporaryDirectory() as directory:
        path = Path(directory, "router.yaml")
        path.write_text(global_world.config())
        return load(path, {})


def told(*prefixes: IPv6Network, before: State | None = None) -> State:
    """The ingress's state with the ways that the firewall told."""
    found = before or state(PREFIX)
    ways = (Route(p, DMZ, ip_address("fe80::1"), protocol=PROTOCOL_RA, metric=1024) for p in prefixes)
    return replace(found, routes=found.routes | set(ways))


def table(found: Plan) -> IngressTable:
    assert isinstance(found.nft, IngressTable)
    return found.nft


def planned(found: State, configuration: Settings | None = None) -> Plan:
    return plan_ingress(configuration or lending(), "kpn", found, NOW)


def test_what_the_firewall_told_is_routed_and_nobody_is_translated_to_it() -> None:
    found = table(planned(told(LENT)))
    assert found.lent == (LENT,)
    assert found.closed == (IPv6Network("fd4b:9ca2:1d70:11::/64"),)
    rules = render_ruleset(found)
    assert rules.elements["lent6"] == {"2001:db8:a100:11::": ""}
    assert rules.elements["hairpin6"] == {'"dmz"': "2001:db8:a::2"}
    assert rules.chains["npt_in"][:4] == (
        'iifname "wan" ip6 saddr 2001:db8:a100:11::/64 drop',
        'iifname "wan" ip6 saddr 2001:db8:a100::/48 drop',
        "ip6 daddr 2001:db8:a100:11::/64 notrack accept",
        'iifname "dmz" ip6 saddr fd4b:9ca2:1d70:11::/64 drop',
    )
    assert rules.skeleton == render_ruleset(table(planned(state(PREFIX)))).skeleton, "an event changes elements"


@pytest.mark.parametrize(
    "prefix",
    [
        "2001:db8:a200:11::/64",  # of another delegation
        "2001:db8:a100:10::/64",  # what home's internal addresses are outside
        "2001:db8:a100:99::/64",  # the DMZ's
        "2001:db8:a100::/56",
    ],
)
def test_what_is_not_its_own_to_give_is_not_taken(prefix: str) -> None:
    assert table(planned(told(IPv6Network(prefix)))).lent == ()


def test_a_delegation_of_one_64_that_hosts_have_is_led_to_them() -> None:
    whole = IPv6Network("2001:db8:a100:7::/64")
    found = planned(told(whole, before=state(str(whole))))
    assert table(found).lent == (whole,)
    # dhcpcd's unreachable route is as good as the kernel's of the advertisement: 1024.
    (way,) = (route for route in found.routes if route.destination == whole)
    assert (way.kind, str(way.gateway), way.metric) == ("unicast", "fe80::1", 512)
    assert not any(route.destination == LENT for route in planned(told(LENT)).routes)


def test_without_global_networks_nothing_is_taken() -> None:
    found = table(planned(told(LENT), settings(LAB)))
    assert found.lent == ()
    assert "lent6" not in render_ruleset(found).skeleton


def test_a_number_that_hosts_have_is_not_mapped_anew() -> None:
    delegated = "2001:db8:a100:ff00::/56"
    ids = planned(told(IPv6Network("2001:db8:a100:ff05::/64"), before=state(delegated))).memory.npt
    assert ids == {"home": 0x10, "management": 0x06}
    # One that was mapped before stays; the firewall moves.
    memory = Memory(npt={"management": 0x05})
    found = table(planned(told(IPv6Network("2001:db8:a100:ff05::/64"), before=state(delegated, memory=memory))))
    assert found.lent == ()


def test_a_prefix_is_told_of_once_its_lifetimes_are_known() -> None:
    def topics(found: State, configuration: Settings | None = None) -> set[str]:
        return {publication.topic for publication in planned(found, configuration).facts}

    lease = Lease("wan", 6, delegations=(Delegation(IPv6Network(PREFIX)),))
    assert "uplink/prefix/48" not in topics(state(PREFIX))
    assert "uplink/prefix/48" in topics(state(PREFIX, leases=[lease])), "for ever, as the lease says"
    assert "uplink/prefix/48" in topics(state(PREFIX), settings(LAB)), "where nobody is given parts of it"
