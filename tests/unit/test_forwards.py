from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

from agent.plan.firewall import plan_firewall
from agent.plan.forwards import sources
from tests.golden.firewall_cases import NOW, Case, cases
from tests.unit.config.kit import settings

LISTS = 'lists: { friends: { addresses: [192.0.2.9, 198.51.100.0/25, "2001:db8::1"] } }'
FORWARDS = """
forwards:
  every: { tcp: 1, to: nas }
  some: { tcp: 2, to: nas, from: [home, friends, 198.51.100.128/25] }
"""


def test_sources_are_networks_lists_and_addresses() -> None:
    found = settings(lists=LISTS, forwards=FORWARDS)
    assert sources(found, found.forwards["every"]) is None
    texts = ("10.10.0.0/24", "192.0.2.9/32", "198.51.100.0/24")
    assert sources(found, found.forwards["some"]) == tuple(map(IPv4Network, texts))


def said(case: Case) -> dict[str, str]:
    plan = plan_firewall(case.settings, case.state, NOW)
    return {problem.part: problem.message for problem in plan.problems if problem.part.startswith("forwards/")}


def test_a_forward_whose_uplink_is_down_is_shown() -> None:
    home = cases()["home"]
    assert said(home) == said(cases()["home-first"]) == {}
    kpn = home.peers["kpn"]
    assert kpn.link is not None
    down = replace(home, peers={**home.peers, "kpn": replace(kpn, link=replace(kpn.link, carrier=False))})
    assert said(down) == {"forwards/kpn": "web, game cannot be reached through kpn: no carrier"}
