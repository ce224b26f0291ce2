"""What router advertisements say: lifetimes that are true until the next one, the uplink in use preferred."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.desired import Plan
from agent.desired.advertise import AdvertisedPrefix, RadvdConfig, RadvdInterface
from agent.desired.firewall import FirewallTable
from agent.model import Delegation, Memory
from agent.plan.advertise import lifetime
from agent.plan.firewall import plan_firewall
from agent.plan.why import why
from agent.render import render_file, render_ruleset
from tests.golden.firewall_cases import NOW, Case, cases
from tests.lab import global_world
from tests.unit.test_plan_firewall import changed, down

LAB = cases()["lab"]
HOME = IPv6Network("fd4b:9ca2:1d70:10::/64")
OUTSIDE = IPv6Network("2001:db8:a100:11::/64")


def case(tmp_path: Path, home: str = "both") -> Case:
    """The lab with global addressing: kpn delegates a /48, odido nothing."""
    path = tmp_path / "router.yaml"
    path.write_text(global_world.config(home))
    return replace(LAB, config=path)


def plan(found: Case, now: float = NOW, memory: Memory | None = None) -> Plan:
    return plan_firewall(found.settings, replace(found.state, memory=memory or Memory()), now)


def told(found: Plan, name: str = "home") -> RadvdInterface:
    (radvd,) = (document for document in found.files if isinstance(document, RadvdConfig))
    return next(interface for interface in radvd.interfaces if interface.device == name)


@given(st.floats(0, 20000), st.sampled_from([2700, 5400]), st.lists(st.floats(0, 20000), min_size=1))
def test_what_is_said_is_true_until_it_is_said_anew(left: float, limit: int, later: list[float]) -> None:
    seconds, again = lifetime(NOW + left, limit, NOW)
    assert 0 <= seconds <= min(limit, left)
    for moment in later:
        now = NOW + moment
        if again is None or now < again:
            assert seconds == 0 or seconds <= NOW + left - now, "still true"
    if seconds:
        assert again is not None
        assert lifetime(NOW + left, limit, again)[0] < seconds
    assert seconds >= min(limit, left) * 0.6 - 5, "not much is lost"


def test_a_lifetime_without_an_end() -> None:
    assert lifetime(None, 2700, NOW) == (2700, None)
    assert lifetime(NOW - 1, 2700, NOW) == (0, None)


@given(st.floats(1, 20000))
def test_it_is_said_anew_a_few_times_only(left: float) -> None:
    now, times = NOW, 0
    while (again := lifetime(NOW + left, 5400, now)[1]) is not None:
        assert again > now
        now, times = again, times + 1
    assert times <= 30


@pytest.mark.rfc("9096", "L-15/16")
def test_both_prefixes_with_their_lifetimes(tmp_path: Path) -> None:
    # kpn's delegation is preferred for 1000 s and valid for 3000 s more.
    found = plan(case(tmp_path))
    assert told(found).prefixes == (AdvertisedPrefix(HOME, 14400, 86400), AdvertisedPrefix(OUTSIDE, 900, 2700))
    assert found.again_at is not None
    assert found.again_at <= NOW + 98
    assert told(found, "guest").prefixes[0] == AdvertisedPrefix(IPv6Network("fd4b:9ca2:1d70:20::/64"), 0, 0)


def test_an_uplink_that_is_not_used_is_deprecated(tmp_path: Path) -> None:
    found = plan(replace(down("kpn", case(tmp_path))))
    assert told(found).prefixes[1] == AdvertisedPrefix(OUTSIDE, 0, 2700)
    assert told(found).lifetime == 1800
    assert told(found, "guest").lifetime == 0, "odido has no prefix for it"


@pytest.mark.rfc("9096", "3.5")
def test_a_withdrawn_prefix_is_told_of_until_nobody_has_it(tmp_path: Path) -> None:
    before = plan(case(tmp_path))
    gone = changed("kpn", case(tmp_path), delegations={})
    found = plan(gone, NOW + 1, before.memory)
    assert told(found).prefixes[1] == AdvertisedPrefix(OUTSIDE, 0, 0)
    assert {r.prefix: r.lifetime for r in told(found, "dmz").routes}[OUTSIDE] == 0, "no ingress leads there"
    assert isinstance(found.nft, FirewallTable)
    assert ("home", OUTSIDE, 0) in found.nft.lent6
    assert any(str(a.ip) == "2001:db8:a100:11::1/64" for a in found.addresses), "errors reach its hosts"
    assert len(told(plan(gone, NOW + 5400, found.memory)).prefixes) == 2
    assert len(told(plan(gone, NOW + 5402, found.memory)).prefixes) == 1


def test_why_a_global_address_goes_where_it_goes(tmp_path: Path) -> None:
    found = plan(case(tmp_path))
    address, settings = OUTSIDE[0x77], case(tmp_path).settings
    way = why(settings, found, address, IPv6Address("2001:db8:f::7"))
    assert (way.network, way.uplink) == ("home", "kpn")
    assert way.lines[0] == "rule 1, tcp 80: only by odido, which cannot be used"
    assert way.lines[-1].endswith("kpn (2001:db8:a100:11::77 is of its prefix)")
    assert "is inside" in why(settings, found, HOME[5], address).lines[0]
    gone = plan(changed("kpn", case(tmp_path), delegations={}), NOW + 1, found.memory)
    assert why(settings, gone, address).lines[0].endswith("withdrawn: refused, ICMPv6 code 5")


def test_the_mtu_is_that_of_the_configuration_whatever_is_up() -> None:
    small = changed("kpn", link=replace(LAB.peers["kpn"].link, mtu=1400))  # type: ignore[type-var]
    assert {told(plan(found)).mtu for found in (LAB, down("kpn"), small)} == {1500}
    home = cases()["home"]
    assert told(plan(home)).mtu == told(plan(down("kpn", home))).mtu == 1492


def test_rules_for_a_host_are_for_its_global_addresses_too(tmp_path: Path) -> None:
    found = plan(case(tmp_path))
    rules = render_ruleset(found.nft)
    wanted = "ip6 daddr & ffff:ffff:ffff:ffff:: @global6_home ip6 daddr & ::ffff:ffff:ffff:ffff ::5 tcp dport 443"
    assert wanted in rules.skeleton
    assert rules.elements["global6_home"] == {"2001:db8:a100:11::": ""}
    assert rules.chains["source6"][2].endswith("meta mark set 0x1 accept")
    assert "global6" not in render_ruleset(plan(LAB).nft).skeleton


def test_only_a_host_without_global_addresses_has_no_uplink_that_lacks_a_prefix(tmp_path: Path) -> None:
    found = plan(case(tmp_path, "global"))
    assert isinstance(found.nft, FirewallTable)
    assert dict(found.nft.choice6) == {"home": 1, "guest": 1, "iot": 1, "management": 1, "dmz": 1}
    assert told(found).prefixes[1].prefix == IPv6Network("2001:db8:a100:10::/64"), "its own number is free"
    assert (
        "prefix fd4b:9ca2:1d70:10::/64" in render_file(next(f for f in found.files if isinstance(f, RadvdConfig))).text
    )


def test_a_delegation_that_the_isp_deprecates_is_deprecated(tmp_path: Path) -> None:
    old = Delegation(IPv6Network("2001:db8:a100::/48"), NOW - 1, NOW + 500)
    found = plan(changed("kpn", case(tmp_path), delegations={48: old}))
    assert told(found).prefixes[1] == AdvertisedPrefix(OUTSIDE, 0, 480)
