"""The newer forms of rules, compiled: what they match between which zones."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.config import Settings, load
from agent.desired.firewall import FilterRule, Limit, Match
from agent.model import IPNetwork
from agent.plan.rules import pairs
from tests.unit.test_rules import BASE

Found = dict[tuple[str, str], tuple[FilterRule, ...]]
LISTS = """
lists:
  written: { addresses: [192.0.2.0/24, 10.30.0.9] }
  read: { file: /x }
"""


def configured(directory: Path, *rules: str, more: str = "") -> Settings:
    path = directory / "router.yaml"
    path.write_text(BASE + LISTS + more + f"rules: [{', '.join(rules)}]\n")
    return load(path, {})


def compiled(directory: Path, *rules: str) -> Found:
    return {(pair.source, pair.destination): pair.rules for pair in pairs(configured(directory, *rules))}


def nets(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(map(ip_network, texts))


def test_protocols_stand_in_their_own_family(tmp_path: Path) -> None:
    protocols = "icmp: ping, icmpv6: [128, packet-too-big], protocol: [esp, tcp, 17, 99]"
    text = f"{{ from: home, to: iot, {protocols}, action: accept }}"
    (rule,) = compiled(tmp_path, text)["home", "iot"]
    assert rule.matches == (
        Match(4, protocol="icmp", types=(8,)),
        Match(6, protocol="ipv6-icmp", types=(2, 128)),
        Match(protocol="tcp"),
        Match(protocol="udp"),
        Match(protocol="esp"),
        Match(protocol="99"),
    )
    assert ("home", "iot") not in compiled(tmp_path, "{ from: home, to: iot, family: ipv6, icmp: 8, action: accept }")


@pytest.mark.parametrize(
    ("word", "zones"),
    [
        ("10.10.0.77", {"home"}),
        ("10.30.0.0/25", {"iot"}),
        ("fd00:1:2:30::/64", {"iot"}),
        ("203.0.113.0/24", {"internet"}),
        ("10.0.0.0/8", {"home", "iot", "dmz", "internet"}),
        ("fd00:1:2::/49", {"home", "iot", "dmz"}),  # all of it is ours
        ("2001:db8::/32", {"internet"}),
    ],
)
def test_an_address_is_where_it_can_be(tmp_path: Path, word: str, zones: set[str]) -> None:
    found = compiled(tmp_path, f"{{ from: '{word}', to: firewall, action: accept }}")
    assert {source for source, _ in found} == zones
    prefix = ip_network(word)
    assert {rule.matches for (rule,) in found.values()} == {(Match(4 if prefix.version == 4 else 6, (prefix,)),)}


def test_many_addresses_of_a_zone_are_one_set(tmp_path: Path) -> None:
    text = "{ from: [10.10.0.8, old, 10.10.0.10/31], to: [cam, 10.30.0.6], tcp: 22, action: accept }"
    (rule,) = compiled(tmp_path, text)["home", "iot"]
    assert rule.matches == (Match(4, nets("10.10.0.8/30"), "", nets("10.30.0.6/31"), "tcp", ((22, 22),)),)


def test_a_written_list_is_where_its_addresses_are(tmp_path: Path) -> None:
    found = compiled(tmp_path, "{ from: home, to: written, action: drop }")
    assert found == {
        ("home", zone): (FilterRule("rule_1", "drop", (Match(4, destination_list="written"),)),)
        for zone in ("iot", "internet")
    }


def test_a_list_that_is_read_can_be_anywhere_in_both_families(tmp_path: Path) -> None:
    found = compiled(tmp_path, "{ from: read, to: home, action: drop }")
    assert set(found) == {(zone, "home") for zone in ("home", "iot", "dmz", "internet")}
    assert found["internet", "home"][0].matches == (Match(4, source_list="read"), Match(6, source_list="read"))


def test_rates_windows_and_notes(tmp_path: Path) -> None:
    text = (
        "{ from: home, to: iot, limit: 5/m burst 9 per source, log: 'who', when: { days: mon, to: '01:00' },"
        " action: accept }"
    )
    (found,) = pairs(configured(tmp_path, text), utc_offset=3600)
    (rule,) = found.rules
    assert (rule.log, rule.note, rule.limit) == (True, "who", Limit(5, "minute", 9, per_source=True))
    assert rule.window == ((0, 82800, 86399),)  # Monday's first hour is Sunday's last in UTC


def test_policies_are_apart_from_the_rules_and_the_first_counts(tmp_path: Path) -> None:
    more = (
        "policies:\n  - { from: home, to: [iot, internet], action: accept }\n"
        "  - { from: any, to: any, action: reject, log: true }\n"
    )
    found = {(p.source, p.destination): p for p in pairs(configured(tmp_path, more=more))}
    policies = {pair: found[pair].policy for pair in found}
    names = {pair: policy.counter for pair, policy in policies.items() if policy is not None}
    assert names["home", "iot"] == names["home", "internet"] == "policy_1"
    assert names["iot", "home"] == names["firewall", "internet"] == names["home", "home"] == "policy_2"
    assert ("internet", "internet") not in names
    assert found["home", "iot"].rules == ()
