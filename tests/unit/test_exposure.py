"""What docker hosts may open: nothing beyond their allowance and their own addresses, whatever they say."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Settings, load
from agent.desired.exposure import HostExposure
from agent.exposures_text import exposures_text
from agent.model import Container, Containers, NodeState, Peer, PortSpan, State
from agent.plan.exposure import MAX_OPEN, MAX_REQUESTS, exposed, exposures, host_exposure, merged, problems, within

OWN = IPv6Network("2001:db8:77:1:21::/80")
WEB = IPv6Address("2001:db8:77:1:21::80")
ALLOWED = {("tcp", 80), ("tcp", 443), ("udp", 443)}
READY = NodeState("ready", "a")


def load_hoster() -> Settings:
    return load(Path(__file__).parents[2] / "compose/router-hoster.yaml", {})


SETTINGS = load_hoster()


def tcp(first: int, last: int | None = None) -> PortSpan:
    return PortSpan("tcp", first, last or first)


def said(*containers: Container, state: str = "ready", error: str = "") -> Peer:
    return Peer(state=NodeState(state, "a"), containers=Containers(containers, error=error))  # type: ignore[arg-type]


def ports(found: HostExposure) -> set[tuple[str, str, int]]:
    return {(str(a), p, n) for a, p, n in found.exposed.ports} if found.exposed is not None else set()


def reasons(found: HostExposure) -> list[str]:
    return [request.reason for request in found.requests if not request.open]


def test_what_is_allowed_is_open() -> None:
    found = host_exposure(SETTINGS, "vm1", said(Container("web", (WEB,), (tcp(443), PortSpan("udp", 443, 443)))))
    assert ports(found) == {(str(WEB), "tcp", 443), (str(WEB), "udp", 443)}
    assert (found.agent, found.containers, reasons(found)) == ("ready", 1, [])


@pytest.mark.parametrize(
    ("host", "address", "span", "reason"),
    [
        ("vm1", "2001:db8:77:1:21::80", tcp(22), "vm1 may expose 80/tcp, 443/tcp, 443/udp only (may_expose)"),
        ("vm1", "2001:db8:77:1:21::80", PortSpan("udp", 80, 80), "vm1 may expose 80/tcp, 443/tcp, 443/udp only"),
        ("vm1", "2001:db8:77:1:31::7", tcp(443), "2001:db8:77:1:31::7 is not of vm1's containers (2001:db8:77:1:21::/"),
        ("vm1", "2001:db8:77:1:20::2", tcp(443), "is not of vm1's containers"),
        ("vm1", "2001:db8:77:1:20::1", tcp(443), "is not of vm1's containers"),
        ("vm1", "2001:db8:ffff::1", tcp(443), "is not of vm1's containers"),
        ("vm1", "::ffff:10.10.10.2", tcp(443), "is not of vm1's containers"),
        ("vmx", "2001:db8:77:1:3e81::1", tcp(443), "vmx may expose nothing (may_expose)"),
    ],
)
def test_what_is_refused_and_why(host: str, address: str, span: PortSpan, reason: str) -> None:
    found = host_exposure(SETTINGS, host, said(Container("web", (IPv6Address(address),), (span,))))
    assert ports(found) == set()
    (why,) = reasons(found)
    assert why.startswith(reason) or reason in why
    (problem,) = problems([found])
    assert problem.part == f"exposure/{host}"
    assert why in problem.message
    assert "routerctl exposures" in problem.hint


def test_of_a_range_the_allowed_part_is_open() -> None:
    found = host_exposure(SETTINGS, "vm1", said(Container("web", (WEB,), (tcp(1, 65535),))))
    assert ports(found) == {(str(WEB), "tcp", 80), (str(WEB), "tcp", 443)}
    assert [r.span for r in found.requests if not r.open] == [tcp(1, 65535)]
    assert reasons(found)[0].endswith("the rest of it is refused")


def test_an_address_beside_ours_is_not_worth_a_word() -> None:
    local = IPv6Address("fd00::2")
    found = host_exposure(SETTINGS, "vm1", said(Container("web", (WEB, local), (tcp(443),))))
    assert (ports(found), reasons(found)) == ({(str(WEB), "tcp", 443)}, [])
    alone = host_exposure(SETTINGS, "vm1", said(Container("web", (local,), (tcp(443),))))
    assert reasons(alone) == ["fd00::2 is not of vm1's containers (2001:db8:77:1:21::/80)"]


def test_an_address_has_one_container() -> None:
    pair = (Container("a", (WEB,), (tcp(443),)), Container("b", (WEB,), (tcp(80),)))
    found = host_exposure(SETTINGS, "vm1", said(*pair))
    assert ports(found) == {(str(WEB), "tcp", 443)}
    assert reasons(found) == [f"{WEB} is a's already"]


def test_what_the_host_says_is_wrong_is_shown() -> None:
    found = host_exposure(SETTINGS, "vm1", said(Container("web", (WEB,), (tcp(443),), ("router.expose: nonsense",))))
    assert ports(found) == {(str(WEB), "tcp", 443)}
    assert reasons(found) == ["router.expose: nonsense"]


@pytest.mark.parametrize("state", ["lost", "disconnected", "init", "ready"])
def test_a_lost_host_has_nothing_open(state: str) -> None:
    found = host_exposure(SETTINGS, "vm1", said(Container("web", (WEB,), (tcp(443),)), state=state))
    assert (ports(found) == set()) == (state == "lost")
    assert found.agent == {"lost": "lost", "disconnected": "away"}.get(state, "ready")
    if state == "lost":
        assert reasons(found) == ["its host is lost"]
        assert [problem.message for problem in problems([found])] == ["vm1 is lost: nothing of its containers is open"]


def test_what_is_not_known_is_not_open() -> None:
    silent = host_exposure(SETTINGS, "vm1", Peer(state=READY))
    assert (silent.agent, ports(silent)) == ("silent", set())
    gone = host_exposure(SETTINGS, "vm1", said(error="no container engine"))
    assert ports(gone) == set()
    assert ["no container engine" in problem.message for problem in problems([gone])] == [True]
    # From before a restart of the firewall: its own deadline ends it.
    kept = replace(said(Container("web", (WEB,), (tcp(443),))), state=None)
    assert ports(host_exposure(SETTINGS, "vm1", kept)) == {(str(WEB), "tcp", 443)}


def test_a_node_that_is_no_docker_host_opens_nothing() -> None:
    liar = said(Container("web", (WEB,), (tcp(443),)))
    peers = MappingProxyType({"hetzner": liar, "firewall": liar, "nobody": liar, "vm2": liar})
    found = exposures(SETTINGS, State(peers=peers))
    assert [host.host for host in found] == ["vm2"]
    assert exposed(SETTINGS, State(peers=peers)) == ()


def test_an_event_of_one_host_leaves_the_others_as_they_are() -> None:
    first = said(Container("web", (WEB,), (tcp(443),)))
    second = said(Container("app", (IPv6Address("2001:db8:77:1:31::7"),), (tcp(443),)))
    before = exposed(SETTINGS, State(peers=MappingProxyType({"vm1": first, "vm2": second})))
    third = said(Container("web", (WEB,), (tcp(80),)))
    after = exposed(SETTINGS, State(peers=MappingProxyType({"vm1": third, "vm2": second})))
    assert [one.host for one in before] == [one.host for one in after] == ["vm1", "vm2"]
    assert before[1] is after[1]
    assert before[0] != after[0]


def test_a_host_that_asks_for_everything_is_bounded() -> None:
    generous = SETTINGS.model_copy(
        update={
            "docker_hosts": {
                "vm1": SETTINGS.docker_hosts["vm1"].model_copy(
                    update={
                        "may_expose": SETTINGS.docker_hosts["vm1"].may_expose.model_copy(update={"tcp": ((1, 65535),)})
                    }
                )
            }
        }
    )
    many = [Container(f"c{n}", tuple(WEB + 8 * n + a for a in range(8)), (tcp(1, 65535),) * 32) for n in range(180)]
    many.append(Container("few", (WEB - 1,), (tcp(443),)))
    many.sort(key=lambda one: one.name)
    start = time.process_time()
    found = host_exposure(generous, "vm1", said(*many))
    assert time.process_time() - start < 2
    assert len(found.requests) == MAX_REQUESTS + 1
    assert len(ports(found)) <= MAX_OPEN
    assert f"vm1 would have more than {MAX_OPEN} ports open" in reasons(found)
    assert f"more than {MAX_REQUESTS}" in reasons(found)[-1]


addresses = st.integers(0, 2**48 - 1).map(lambda low: OWN[low]) | st.ip_addresses(v=6)
few_addresses = st.sampled_from([OWN[1], OWN[2], OWN[3], IPv6Address("2001:db8:77:1:31::7")])
numbers = st.sampled_from([1, 79, 80, 81, 442, 443, 444, 65535]) | st.integers(1, 65535)
spans = st.tuples(st.sampled_from(["tcp", "udp"]), numbers, numbers).map(
    lambda drawn: PortSpan(drawn[0], min(drawn[1:]), max(drawn[1:]))  # type: ignore[arg-type]
)
containers = st.builds(
    Container,
    name=st.sampled_from(["a", "b", "c", "d"]),
    addresses=st.lists(addresses | few_addresses, max_size=4).map(tuple),
    ports=st.lists(spans, max_size=5).map(tuple),
    notes=st.lists(st.text(max_size=9), max_size=1).map(tuple),
)


@given(st.lists(containers, max_size=6))
def test_a_liar_opens_nothing_beyond_its_allowance(claimed: list[Container]) -> None:
    found = host_exposure(SETTINGS, "vm1", said(*claimed))
    for address, protocol, port in found.exposed.ports if found.exposed is not None else ():
        assert address in OWN
        assert (protocol, port) in ALLOWED
        assert any(
            address in one.addresses and any(s.protocol == protocol and s.first <= port <= s.last for s in one.ports)
            for one in claimed
        )
    # Every port asked for of an address of the plan is accounted for.
    for one in claimed:
        for address in one.addresses:
            if one.ports and address in SETTINGS.site.prefix:
                assert any(r.container == one.name and r.address == address for r in found.requests)


@given(st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=8))
def test_merged_spans_are_the_same_ports(pairs: list[tuple[int, int]]) -> None:
    found = merged(pairs)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(found))
    for port in {n for pair in pairs for n in (pair[0] - 1, pair[0], pair[1], pair[1] + 1)}:
        inside = any(first <= port <= last for first, last in pairs)
        assert any(first <= port <= last for first, last in found) == inside


@given(spans)
def test_what_is_within(span: PortSpan) -> None:
    allowed = [("tcp", 80, 80), ("tcp", 443, 443), ("udp", 443, 443)]
    parts, whole = within(span, allowed)
    inside = {(p.protocol, n) for p in parts for n in range(p.first, p.last + 1)}
    assert inside == {
        (protocol, n) for protocol, n in ALLOWED if protocol == span.protocol and span.first <= n <= span.last
    }
    assert whole == (len(inside) == span.last - span.first + 1)


def test_the_text_is_as_wide_as_the_terminal() -> None:
    def request(container: str, port: str | None, state: str, reason: str = "") -> dict[str, object]:
        address = str(WEB) if port else None
        return {
            "host": "vm1",
            "container": container,
            "address": address,
            "port": port,
            "state": state,
            "reason": reason,
        }

    document = {
        "hosts": {
            "vm1": {"agent": "ready", "error": "", "containers": 2, "left_out": 3, "open": 1},
            "vm2": {"agent": "ready", "error": "no container engine", "containers": 0, "left_out": 0, "open": 0},
            "vmx": {"agent": "silent", "error": "", "containers": 0, "left_out": 0, "open": 0},
            "vmy": {"agent": "lost", "error": "", "containers": 1, "left_out": 0, "open": 0},
        },
        "requests": [
            request("web", "443/tcp", "open"),
            request("db", "5432/tcp", "refused", "vm1 may expose 80/tcp, 443/tcp, 443/udp only (may_expose)"),
            request("db", None, "refused", "router.expose: 'postgres' is no port: write 443/tcp, 8000-8010/udp"),
        ],
    }
    text = exposures_text(document, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text == (
        "  vm1         2 containers, 1 port open; 3 more are not told of\n"
        "              open web 443/tcp 2001:db8:77:1:21::80\n"
        "              REFUSED db 5432/tcp 2001:db8:77:1:21::80: vm1 may expose 80/tcp,\n"
        "              443/tcp, 443/udp only (may_expose)\n"
        "              REFUSED db: router.expose: 'postgres' is no port: write 443/tcp,\n"
        "              8000-8010/udp\n"
        "  vm2         DOES NOT KNOW its containers: no container engine\n"
        "  vmx         its agent was not heard: nothing is open by label\n"
        "  vmy         LOST: nothing is open by label; 1 container, 0 ports open\n"
    )
    assert exposures_text({"hosts": {}, "requests": []}, 80) == "no docker hosts\n"
