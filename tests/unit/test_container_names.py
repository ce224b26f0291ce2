"""Names of containers: below their host's name, for its own addresses, forward and reverse."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import load
from agent.desired.names import Record, ZoneTarget
from agent.model import Container, Containers, NodeState, Peer, State
from agent.plan.container_names import label, with_containers

SETTINGS = load(Path(__file__).parents[2] / "compose/router-hoster.yaml", {})
OWN = IPv6Network("2001:db8:77:1:21::/80")
REVERSE = "1.0.0.0.7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
PLAIN = Record("firewall.rack.example", "A", "10.10.10.2")


def target(zone: str, *records: Record) -> ZoneTarget:
    return ZoneTarget(zone, IPv4Address("127.0.0.1"), 53, "key", records, 300, whole=True)


TARGETS = (target("rack.example", PLAIN), target(REVERSE), target("10.10.10.in-addr.arpa"))


def state(*containers: Container, host: str = "vm1", said: str = "ready") -> State:
    peer = Peer(state=NodeState(said, "a"), containers=Containers(containers))  # type: ignore[arg-type]
    return State(peers=MappingProxyType({host: peer}))


def names(known: State) -> set[tuple[str, str, str]]:
    found = with_containers(SETTINGS, known, TARGETS)
    assert [one.zone for one in found] == [one.zone for one in TARGETS]
    records = {(r.name, str(r.type), r.data) for one in found for r in one.records}
    return records - {(PLAIN.name, "A", PLAIN.data)}


def test_a_container_has_a_name_and_its_address_too() -> None:
    address = IPv6Address("2001:db8:77:1:21:1:0:2")
    assert names(state(Container("shop_web.1", (address,)))) == {
        ("shop-web-1.vm1.rack.example", "AAAA", str(address)),
        (address.reverse_pointer, "PTR", "shop-web-1.vm1.rack.example"),
    }


def test_an_address_of_the_configuration_keeps_its_name() -> None:
    assert names(state(Container("web", (OWN[0x80],)))) == {("web.vm1.rack.example", "AAAA", "2001:db8:77:1:21::80")}


@pytest.mark.parametrize(("host", "said"), [("vm1", "lost"), ("hetzner", "ready"), ("nobody", "ready")])
def test_who_is_lost_or_no_docker_host_names_nothing(host: str, said: str) -> None:
    assert names(state(Container("a", (OWN[5],)), host=host, said=said)) == set()


def test_another_hosts_address_gets_no_name() -> None:
    assert (
        names(state(Container("a", (IPv6Address("2001:db8:77:1:31::7"), IPv6Address("2001:db8:77:1:10::1"))))) == set()
    )


def test_one_label_is_one_containers() -> None:
    found = names(state(Container("A_B", (OWN[5],)), Container("a-b", (OWN[6],)), Container("a.b", (OWN[7],))))
    assert {(name, data) for name, kind, data in found if kind == "AAAA"} == {("a-b.vm1.rack.example", str(OWN[6]))}


def test_what_does_not_change_is_the_same_object() -> None:
    first = with_containers(SETTINGS, state(Container("a", (OWN[5],))), TARGETS)
    assert with_containers(SETTINGS, state(Container("a", (OWN[5],))), TARGETS) is first
    assert with_containers(SETTINGS, State(), TARGETS) is TARGETS


@given(st.text(max_size=100) | st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", fullmatch=True))
def test_a_label_is_a_label(name: str) -> None:
    assert re.fullmatch(r"|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label(name))


@given(
    st.lists(
        st.builds(
            Container,
            name=st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}", fullmatch=True),
            addresses=st.lists(st.ip_addresses(v=6) | st.integers(0, 9).map(lambda n: OWN[n]), max_size=3).map(tuple),
        ),
        max_size=8,
    )
)
def test_a_liar_names_nothing_but_its_own(claimed: list[Container]) -> None:
    for name, kind, data in names(state(*claimed)):
        address = IPv6Address(data) if kind == "AAAA" else None
        assert (name if kind == "AAAA" else data).endswith(".vm1.rack.example")
        assert address in OWN if address is not None else name.endswith(".1.2.0.0." + REVERSE)
