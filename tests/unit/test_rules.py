from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.config import Settings, load
from agent.desired.firewall import AcceptedForward, FilterRule, Match
from agent.plan.forwards import accepted
from agent.plan.rule_matches import merged
from agent.plan.rules import pairs

BASE = """
site: { name: t, prefix: fd00:1:2::/48 }
bus: { host: 10.98.0.1, password_file: p, users_file: u }
networks:
  home: { subnet: 0x10, ipv4: 10.10.0.0/24 }
  iot: { subnet: 0x30, ipv4: 10.30.0.0/24 }
  dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
uplinks:
  kpn: { kind: dhcp }
hosts:
  nas: { network: home, mac: "02:00:00:00:10:05", ipv4: 10.10.0.5, suffix: "::5" }
  cam: { network: iot, ipv4: 10.30.0.7, suffix: "::7" }
  old: { network: home, ipv4: 10.10.0.9 }
"""
NAS4, NAS6 = ip_network("10.10.0.5/32"), ip_network("fd00:1:2:10::5/128")
CAM4, CAM6 = ip_network("10.30.0.7/32"), ip_network("fd00:1:2:30::7/128")
Found = dict[tuple[str, str], tuple[FilterRule, ...]]


def configured(directory: Path, more: str) -> Settings:
    path = directory / "router.yaml"
    path.write_text(BASE + more)
    return load(path, {})


def compiled(directory: Path, *rules: str) -> Found:
    more = "rules:\n" + "".join(f"  - {rule}\n" for rule in rules)
    return {(pair.source, pair.destination): pair.rules for pair in pairs(configured(directory, more))}


def only(found: Found, source: str, destination: str) -> FilterRule:
    assert set(found) == {(source, destination)}
    (rule,) = found[source, destination]
    return rule


def test_a_network_to_the_internet_without_ports_is_every_protocol(tmp_path: Path) -> None:
    rule = only(compiled(tmp_path, "{ from: home, to: internet, action: accept }"), "home", "internet")
    assert rule == FilterRule("rule_1", "accept", (Match(),))


@pytest.mark.parametrize(("family", "version"), [("ipv4", 4), ("ipv6", 6)])
def test_a_rule_of_one_family(tmp_path: Path, family: str, version: int) -> None:
    text = f"{{ from: home, to: iot, family: {family}, action: drop }}"
    assert only(compiled(tmp_path, text), "home", "iot").matches == (Match(family=version),)  # type: ignore[arg-type]


def test_ports_of_both_protocols_are_alternatives_in_ranges(tmp_path: Path) -> None:
    text = '{ from: home, to: firewall, tcp: [80, 443, "442-450"], udp: 53, action: accept }'
    rule = only(compiled(tmp_path, text), "home", "firewall")
    assert rule.matches == (
        Match(protocol="tcp", ports=((80, 80), (442, 450))),
        Match(protocol="udp", ports=((53, 53),)),
    )


def test_a_host_is_its_address_in_each_family(tmp_path: Path) -> None:
    rule = only(compiled(tmp_path, "{ from: internet, to: nas, tcp: 443, action: accept }"), "internet", "home")
    assert rule.matches == (
        Match(4, destinations=(NAS4,), protocol="tcp", ports=((443, 443),)),
        Match(6, destinations=(NAS6,), protocol="tcp", ports=((443, 443),)),
    )


def test_a_host_without_a_suffix_has_no_pinhole(tmp_path: Path) -> None:
    rule = only(compiled(tmp_path, "{ from: internet, to: old, tcp: 443, action: accept }"), "internet", "home")
    assert [match.family for match in rule.matches] == [4]


def test_a_host_as_a_source_is_its_mac_else_its_addresses(tmp_path: Path) -> None:
    rule = only(compiled(tmp_path, "{ from: nas, to: iot, action: accept }"), "home", "iot")
    assert rule.matches == (Match(source_mac="02:00:00:00:10:05"),)
    rule = only(compiled(tmp_path, "{ from: cam, to: nas, action: accept }"), "iot", "home")
    assert rule.matches == (
        Match(4, sources=(CAM4,), destinations=(NAS4,)),
        Match(6, sources=(CAM6,), destinations=(NAS6,)),
    )


def test_any_is_all_networks_internet_and_firewall(tmp_path: Path) -> None:
    found = compiled(tmp_path, "{ from: home, to: any, action: accept }")
    assert set(found) == {("home", zone) for zone in ("home", "iot", "dmz", "internet", "firewall")}
    found = compiled(tmp_path, "{ from: any, to: internet, action: accept }")
    assert set(found) == {(zone, "internet") for zone in ("home", "iot", "dmz", "firewall")}  # never through us


def test_the_order_of_the_rules_is_kept_within_a_pair(tmp_path: Path) -> None:
    found = compiled(
        tmp_path,
        "{ from: home, to: internet, tcp: 25, action: reject, log: true }",
        "{ from: [iot, home], to: internet, action: accept }",
        "{ from: home, to: any, action: drop }",
    )
    assert [(r.counter, r.action, r.log) for r in found["home", "internet"]] == [
        ("rule_1", "reject", True),
        ("rule_2", "accept", False),
        ("rule_3", "drop", False),
    ]
    assert [r.counter for r in found["iot", "internet"]] == ["rule_2"]


def test_a_word_written_twice_counts_once(tmp_path: Path) -> None:
    found = compiled(tmp_path, "{ from: [home, home, any], to: iot, action: accept }")
    assert found["home", "iot"][0].matches == (Match(),)


def test_forwards_to_the_same_ports_are_one(tmp_path: Path) -> None:
    more = """
forwards:
  web: { tcp: 443, to: nas }
  alt: { tcp: 8443, to: nas, to_port: 443 }
  game: { udp: 27000-27050, to: nas, to_port: 100 }
  more: { udp: 27051-27060, to: nas, to_port: 151 }
"""
    assert accepted(configured(tmp_path, more)) == (
        AcceptedForward(NAS4.network_address, "tcp", 443, 443),  # type: ignore[arg-type]
        AcceptedForward(NAS4.network_address, "udp", 100, 160),  # type: ignore[arg-type]
    )


def test_overlapping_and_touching_ranges_are_merged() -> None:
    assert merged([(5, 9), (1, 2), (3, 4), (20, 30), (25, 26)]) == ((1, 9), (20, 30))
