"""`routerctl why`: where a host's connections would go, by the plan that holds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from ipaddress import ip_address

import pytest

from agent.config import Settings, load
from agent.desired import Plan
from agent.plan.firewall import plan_firewall
from agent.plan.why import Way, why
from tests.golden.firewall_cases import NOW, cases

LAB = cases()["lab"]
RULES = """
rules:
  - { from: home, to: internet, udp: 5060, action: accept, via: odido }
  - { from: nas, to: internet, action: accept, only: odido }
  - { from: home, to: internet, tcp: 25, action: reject }
"""


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("why") / "router.yaml"
    path.write_text(LAB.config.read_text().replace("\nrules:\n", RULES))
    return load(path, {})


@cache
def plan() -> Plan:
    return plan_firewall(LAB.settings, LAB.state, NOW)


def ask(address: str, destination: str | None = None) -> Way:
    return why(LAB.settings, plan(), ip_address(address), ip_address(destination) if destination else None)


def test_anywhere_outside_is_the_networks_choice() -> None:
    way = ask("10.20.0.60")
    assert (way.network, way.uplink) == ("guest", "odido")
    assert way.lines == ("rule 1: accept, by odido", "guest uses for IPv4: odido (best)")
    assert ask("fd4b:9ca2:1d70:10::99").uplink == "kpn"


def test_inside_outside_and_nowhere() -> None:
    assert ask("10.10.0.105", "10.30.0.60").uplink is None
    assert "from home to iot" in ask("10.10.0.105", "10.30.0.60").lines[0]
    assert ask("10.10.0.105", "198.51.100.2").uplink == "odido", "an uplink's own address is turned around there"
    assert ask("203.0.113.9").network is None
    with pytest.raises(ValueError, match="different families"):
        ask("10.10.0.105", "2001:db8::1")


def test_rules_by_uplink_come_in_their_order(ruled: Settings) -> None:
    found = plan_firewall(ruled, LAB.state, NOW)
    way = why(ruled, found, ip_address("10.10.0.105"))
    assert way.uplink == "kpn"
    assert way.lines[:3] == (
        "rule 1, udp 5060: accept, by odido (via)",
        "rule 3, tcp 25: reject",
        "rule 4: accept, by kpn",
    )
    nas = why(ruled, found, ip_address("10.10.0.5"))
    assert (nas.uplink, nas.lines[-1]) == ("odido", "rule 2: accept, by odido (only)")


def test_a_rule_whose_uplink_cannot_be_used(ruled: Settings) -> None:
    link = LAB.peers["odido"].link
    assert link is not None
    peers = {**LAB.peers, "odido": replace(LAB.peers["odido"], link=replace(link, carrier=False))}
    found = plan_firewall(ruled, replace(LAB, peers=peers).state, NOW)
    assert (
        "rule 1, udp 5060: accept, by kpn, since odido cannot be used"
        in why(ruled, found, ip_address("10.10.0.105")).lines
    )
    nas = why(ruled, found, ip_address("10.10.0.5"))
    assert (nas.uplink, nas.lines[-1]) == (None, "rule 2: only by odido, which cannot be used")
