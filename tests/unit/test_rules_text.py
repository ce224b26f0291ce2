from __future__ import annotations

from agent.drivers.counters import Count
from agent.rules import document, rules_text
from tests.unit.config.kit import settings

RULES = """
rules:
  - { from: [home, nas], to: internet, service: https, tcp: [80, "8000-8010"], action: accept, log: true }
  - { from: any, to: firewall, icmp: 8, limit: 5/m burst 9 per source, when: { days: mon }, action: drop }
"""
POLICIES = "policies: [ { from: home, to: any, action: reject } ]"


def test_each_rule_is_a_line_with_its_count() -> None:
    found = document(settings(rules=RULES, policies=POLICIES), {"rule_1": Count(12, 720), "policy_1": Count(0, 0)})
    assert rules_text(found, 80).splitlines() == [
        "connections  bytes  name      rule",
        "         12    720  rule_1    accept home,nas → internet service https tcp 80,8000-8010 log",
        "          -      -  rule_2    drop any → firewall icmp 8 in its hours limit 5/minute burst 9 per source",
        "          0      0  policy_1  reject home → any",
    ]
