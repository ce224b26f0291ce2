"""What an ingress probes, what it says of the answers, and what the firewall makes of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

import pytest

from agent.config import Probe
from agent.desired import Plan
from agent.desired.ingress import IngressTable
from agent.desired.probe import FamilyProbes, Probes, Target, Watched
from agent.model import Choice, Family, FamilyHealth, Lease, Neighbour, Reach, Standing, State, UplinkHealth
from agent.plan.firewall import plan_firewall
from agent.plan.ingress import plan_ingress
from agent.plan.ingress_fixed import fixed
from agent.plan.ingress_seen import look
from agent.plan.probe import probes as probing
from tests.golden import firewall_cases
from tests.golden.firewall_cases import LAB, settings
from tests.golden.ingress_cases import NOW, PLAIN, PREFIX, WAN, state

UP = FamilyHealth(up=True, loss=0.0, rtt=0.01, since=1.0)
DOWN = FamilyHealth(up=False, since=1.0)
SETTINGS = settings(LAB)


def probes(node: str, seen: State) -> Probes | None:
    return plan_ingress(SETTINGS, node, seen, NOW).probes


def family(found: Probes | None, wanted: Family) -> FamilyProbes:
    assert found is not None
    return next(one for one in found.families if one.family == wanted)


def health(node: str, seen: State) -> UplinkHealth | None:
    facts = {one.topic: one.fact for one in plan_ingress(SETTINGS, node, seen, NOW).facts}
    found = facts.get("uplink/health")
    assert found is None or isinstance(found, UplinkHealth)
    return found


def alive(node: str, seen: State) -> set[Family]:
    table = plan_ingress(SETTINGS, node, seen, NOW).nft
    assert isinstance(table, IngressTable)
    return set(table.alive)


def test_the_targets_of_each_family_with_the_uplinks_own_address() -> None:
    found = probes("kpn", state(PREFIX))
    assert found is not None
    assert (found.device, found.index) == ("wan", WAN)
    four, six = family(found, 4), family(found, 6)
    assert (four.source, four.targets) == (ip_address("192.0.2.2"), (Target("echo", IPv4Address("203.0.113.7")),))
    assert (six.source, six.targets) == (ip_address("2001:db8:a::2"), (Target("echo", IPv6Address("2001:db8:f::7")),))
    assert (four.rounds.interval, four.rounds.fail_after) == (0.3, 3)


def test_without_a_probe_the_next_hop_and_it_is_doubted() -> None:
    found = probes("odido", state())
    four, six = family(found, 4), family(found, 6)
    assert four.targets == (Target("neighbour", IPv4Address("192.0.2.1")),)
    assert six.targets == (Target("neighbour", IPv6Address("fe80::f")),)
    assert four.rounds.doubt


@pytest.mark.parametrize(
    "change",
    [
        {"links": PLAIN[1:]},
        {"links": (replace(PLAIN[0], carrier=False), PLAIN[1])},
        {"addresses": {}},
        {"links": (replace(PLAIN[0], kind="ppp"), PLAIN[1])},
    ],
    ids=["no link", "no carrier", "no address", "a point-to-point link has no next hop"],
)
def test_nothing_is_probed_where_nothing_can_answer(change: Mapping[str, object]) -> None:
    assert probes("odido", state(**change)) is None  # type: ignore[arg-type]


def test_a_prefix_without_an_address_is_probed_from_an_address_of_the_prefix_once_it_is_there() -> None:
    four_only = {"192.0.2.2/24": WAN}
    before = plan_ingress(SETTINGS, "kpn", state(PREFIX, addresses=four_only), NOW)
    assert before.probes is not None
    assert [one.family for one in before.probes.families] == [4]
    (added,) = (one.ip for one in before.addresses if one.ip.version == 6)
    after = state(PREFIX, addresses={**four_only, str(added): WAN})
    assert family(probes("kpn", after), 6).source == added.ip


def test_a_next_hop_that_the_kernel_gave_up_is_lost() -> None:
    seen = state(PREFIX)
    gateway = ip_address("192.0.2.1")
    said = {"reachable": "found", "permanent": "found", "incomplete": "unknown", "stale": "unknown", "failed": "lost"}
    for kind, next_hop in said.items():
        entry = Neighbour(WAN, gateway, state=kind)
        known = replace(seen, neighbours=MappingProxyType({(WAN, gateway): entry}))
        assert family(probes("kpn", known), 4).next_hop == next_hop
        assert family(probes("kpn", known), 6).next_hop == "unknown"


def test_names_are_looked_up_at_the_lease_s_servers_then_at_the_forwarders() -> None:
    named = replace(state(PREFIX), leases={("wan", 4): Lease("wan", 4, (ip_address("192.0.2.53"),))})
    forwarders = [ip_address("9.9.9.9"), ip_address("2620:fe::fe")]
    share = look(fixed(SETTINGS, "kpn"), named, NOW)
    assert family(probing(share, forwarders), 4).dns == (), "no target is a name"
    by_name = Probe.model_validate({"targets": ["https://example.com/"]})
    uplink = SETTINGS.uplinks["kpn"].model_copy(update={"probe": by_name})
    share = replace(share, share=replace(share.share, uplink=uplink))
    found = probing(share, forwarders)
    assert family(found, 4).dns == (ip_address("192.0.2.53"), ip_address("9.9.9.9"))
    assert family(found, 6).dns == (ip_address("2620:fe::fe"),)


def test_at_the_start_of_the_agent_nothing_is_known_and_nothing_is_said() -> None:
    assert health("kpn", state(PREFIX)) is None
    assert alive("kpn", state(PREFIX)) == {4, 6}


def test_what_is_down_is_kept_and_the_next_life_of_the_agent_says_so_until_it_knows_better() -> None:
    kept = plan_ingress(SETTINGS, "kpn", replace(state(PREFIX), health=UplinkHealth(UP, DOWN, NOW + 30)), NOW).memory
    assert kept.standings == {"kpn/6": Standing(well=False, since=1.0)}
    later = replace(state(PREFIX), memory=kept)
    assert [one.was_down for one in (probes("kpn", later) or Probes("", 0, ())).families] == [False, True]
    assert health("kpn", later) == UplinkHealth(None, FamilyHealth(up=False), NOW + 30)
    assert alive("kpn", later) == {4}
    assert plan_ingress(SETTINGS, "kpn", later, NOW).memory == kept
    well = replace(later, health=UplinkHealth(UP, UP, NOW + 30))
    assert not family(probes("kpn", well), 6).was_down
    assert plan_ingress(SETTINGS, "kpn", well, NOW).memory.standings == {}


def test_a_verdict_is_told_and_answered_to_the_firewall() -> None:
    seen = replace(state(PREFIX), health=UplinkHealth(UP, DOWN, NOW + 30))
    assert health("kpn", seen) == UplinkHealth(UP, DOWN, NOW + 30)
    assert alive("kpn", seen) == {4}


def test_a_family_that_has_just_appeared_is_down_until_it_is_verified() -> None:
    seen = replace(state(PREFIX), health=UplinkHealth(UP, None, NOW + 30))
    assert health("kpn", seen) == UplinkHealth(UP, FamilyHealth(up=False), NOW + 30)
    assert alive("kpn", seen) == {4}


def test_what_is_not_verified_is_said_to_be_so_before_anybody_can_use_it() -> None:
    seen = replace(state(PREFIX), health=UplinkHealth(None, None, NOW + 30))
    topics = [one.topic for one in plan_ingress(SETTINGS, "kpn", seen, NOW).facts]
    assert topics[0] == "uplink/health"


def test_a_family_that_is_not_probed_is_unknown() -> None:
    four_only = replace(state(addresses={"192.0.2.2/24": WAN}), health=UplinkHealth(UP, UP, NOW + 30))
    assert health("odido", four_only) == UplinkHealth(UP, None, NOW + 30)
    tunnel = state(links=(replace(PLAIN[0], kind="ppp"), PLAIN[1]))
    assert health("odido", replace(tunnel, health=UplinkHealth(None, None, NOW + 30))) is None
    assert alive("odido", replace(tunnel, health=UplinkHealth(None, None, NOW + 30))) == {4, 6}


def test_a_family_without_a_route_or_a_carrier_is_not_alive() -> None:
    assert alive("odido", state(addresses={"192.0.2.2/24": WAN})) == {4}
    assert alive("kpn", state(PREFIX, links=(replace(PLAIN[0], carrier=False), PLAIN[1]))) == set()


# --- the firewall ---------------------------------------------------------------------------------------------------


def firewall(reach: Mapping[str, Reach] = MappingProxyType({}), peers: bool = True) -> tuple[Plan, Choice]:
    """The plan with that reach, and the choice of `home`, which prefers kpn."""
    case = firewall_cases.cases()["lab"]
    seen = replace(case.state, reach=reach, peers=case.state.peers if peers else MappingProxyType({}))
    plan = plan_firewall(case.settings, seen, NOW)
    home = next(one.fact for one in plan.facts if one.topic == "choice/home")
    assert isinstance(home, Choice)
    return plan, home


def test_the_firewall_watches_the_ingresses_it_knows() -> None:
    watch = firewall()[0].watch
    assert watch is not None
    assert watch.device == "dmz"
    assert watch.ingresses == (Watched("kpn", IPv6Address("fe80::a")), Watched("odido", IPv6Address("fe80::b")))
    assert firewall(peers=False)[0].watch is None


def test_an_ingress_that_does_not_answer_serves_nobody() -> None:
    silent = Reach("silent", "silent")
    home = firewall({"kpn": silent})[1]
    assert (home.ipv4.uplink, home.ipv6.uplink) == ("odido", "odido")
    assert "does not answer" in home.ipv4.why


def test_what_an_ingress_says_on_the_dmz_counts_per_family() -> None:
    home = firewall({"kpn": Reach("refused", "up")})[1]
    assert (home.ipv4.uplink, home.ipv6.uplink) == ("odido", "kpn")


def test_unknown_is_not_down() -> None:
    home = firewall({"kpn": Reach()})[1]
    assert (home.ipv4.uplink, home.ipv6.uplink) == ("kpn", "kpn")


def test_where_every_uplink_fails_its_probes_nothing_moves_and_no_connection_ends() -> None:
    refused = Reach("refused", "refused")
    plan, home = firewall({"kpn": refused, "odido": refused})
    assert (home.ipv4.uplink, home.ipv6.uplink) == ("kpn", "kpn"), "the probes or their targets may be wrong"
    assert home.ipv4.why.startswith("no better one: kpn: ")
    assert plan.flows == ()
    assert firewall({"kpn": refused})[0].flows, "with a target they end"


def test_what_is_in_use_stays_when_the_last_uplink_fails_its_probes() -> None:
    case = firewall_cases.cases()["lab"]
    first = plan_firewall(case.settings, replace(case.state, reach={"kpn": Reach("silent", "silent")}), NOW)
    both = dict.fromkeys(("kpn", "odido"), Reach("silent", "silent"))
    then = plan_firewall(case.settings, replace(case.state, memory=first.memory, reach=both), NOW + 1)
    home = next(one.fact for one in then.facts if one.topic == "choice/home")
    assert isinstance(home, Choice)
    assert (home.ipv4.uplink, home.ipv6.uplink) == ("odido", "odido")
