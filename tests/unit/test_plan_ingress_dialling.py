"""What a person is told while pppd dials, and when the session has no IPv4: to look at pppd, not at the cable."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from agent.desired import Problem
from tests.golden.ingress_cases import WAN, Case, cases


def _problems(case: Case, part: str) -> list[Problem]:
    return [problem for problem in case.plan.problems if problem.part == part]


def test_a_ppp_link_without_carrier_is_no_session() -> None:
    case = cases()["home-pppoe"]
    links = {**case.state.links, WAN: replace(case.state.links[WAN], carrier=False)}
    dialling = replace(case, state=replace(case.state, links=MappingProxyType(links)))
    (problem,) = _problems(dialling, "link/wan")
    assert problem.message == "no PPP session"
    assert "password" in problem.hint


def test_a_cable_without_carrier_is_called_that() -> None:
    case = cases()["home-dhcp-vlan"]
    links = {**case.state.links, WAN: replace(case.state.links[WAN], carrier=False)}
    (problem,) = _problems(replace(case, state=replace(case.state, links=MappingProxyType(links))), "link/wan")
    assert "cable" in problem.hint


def test_a_session_without_ipv4_points_to_pppd() -> None:
    case = cases()["home-pppoe"]
    addresses = {key: address for key, address in case.state.addresses.items() if address.ip.version == 6}
    (problem,) = _problems(replace(case, state=replace(case.state, addresses=MappingProxyType(addresses))), "ipv4")
    assert "pppd" in problem.hint
