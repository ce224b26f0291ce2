"""A docker host's plan: what is told of containers, in the words of a real engine and of a nonsensical one."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from agent.config import Settings, load
from agent.desired import Plan
from agent.drivers.docker.reading import read_containers, read_modes, read_published
from agent.model import Attachment, Container, Containers, Engine, EngineContainer, Peer, PortSpan, State
from agent.place import bus_config, node_info
from agent.plan.docker_host import (
    GRACE,
    MAX_CONTAINERS,
    MAX_PORTS,
    REPEAT,
    VALID,
    container,
    fit,
    parse_label,
    plan_docker_host,
)
from agent.status import other_configurations
from tests.lab.recorded_engine import RECORDED

NOW = 1000.0
WEB = IPv6Address("2001:db8:77:1:21::80")
TCP443, UDP443 = PortSpan("tcp", 443, 443), PortSpan("udp", 443, 443)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(Path(__file__).parents[2] / "compose/router-hoster.yaml", {})


def recorded(name: str) -> tuple[EngineContainer, ...]:
    answers = next(s for s in json.loads(RECORDED.read_text())["steps"] if s["name"] == name)["answers"]
    found = read_containers(answers["/containers/json"], read_modes(answers["/networks"]))
    return tuple(replace(c, published=read_published(answers[f"/containers/{c.id}/json"])) for c in found)


def told(plan: Plan) -> Containers:
    (publication,) = plan.facts
    assert publication.topic == "containers"
    assert isinstance(publication.fact, Containers)
    return publication.fact


def test_what_a_real_engine_says(settings: Settings) -> None:
    plan = plan_docker_host(settings, "vm1", State(synced=True, engine=Engine(recorded("more"))), NOW)
    assert told(plan).containers == (
        Container(
            "db",
            (IPv6Address("2001:db8:77:1:21::5"),),
            (PortSpan("tcp", 5432, 5432), PortSpan("tcp", 80, 80)),
            (
                "router.expose: 'postgres' is no port: write 443/tcp, 8000-8010/udp",
                (
                    "5432/tcp is asked for but not published: on network apps (routed) the engine drops it, unless its "
                    "`ip6tables` is false; publish it too (`ports: [5432]`)"
                ),
            ),
        ),
        Container(
            "host_s.own",
            (),
            (PortSpan("tcp", 22, 22),),
            ("it uses its host's own network: only a container with an address of its own can be opened",),
        ),
        Container("plain", (IPv6Address("2001:db8:77:1:21:ffff:0:2"),)),
        Container("web", (WEB,), (TCP443, UDP443)),
    )
    assert told(plan).valid_until == NOW + VALID
    assert plan.again_at == NOW + REPEAT
    assert [(problem.part, problem.message) for problem in plan.problems] == [
        (f"container/{c.name}", note) for c in told(plan).containers for note in c.notes
    ]
    assert (plan.files, plan.services, plan.routes, plan.sysctls) == ((), {}, frozenset(), ())


@pytest.mark.parametrize("step", [step["name"] for step in json.loads(RECORDED.read_text())["steps"]])
def test_every_recorded_step_travels(settings: Settings, step: str) -> None:
    fact = told(plan_docker_host(settings, "vm1", State(synced=True, engine=Engine(recorded(step))), NOW))
    payload, expiry = wire.encode(fact, "containers", NOW)
    assert expiry == VALID
    assert wire.decode("rack", "backstage/1/rack/vm1/containers", payload, expiry, NOW).fact == fact


@pytest.mark.parametrize(
    ("text", "spans", "notes"),
    [
        ("443/tcp", [TCP443], 0),
        ("443", [TCP443], 0),
        ("443/TCP,443/udp", [TCP443, UDP443], 0),
        (" 8000-8010/udp \t 443/tcp,,", [PortSpan("udp", 8000, 8010), TCP443], 0),
        ("443/tcp 443", [TCP443], 0),
        ("", [], 1),
        (" , ", [], 1),
        ("http", [], 1),
        ("443/sctp, 443/tcp", [TCP443], 1),
        ("0/tcp", [], 1),
        ("65536/tcp", [], 1),
        ("8010-8000/tcp", [], 1),
        ("443/tcp; reboot", [], 2),
        ("٤٤٣/tcp", [], 1),
        ("-1", [], 1),
        ("1-65535/tcp", [PortSpan("tcp", 1, 65535)], 0),
        (" ".join(map(str, range(1, 100))), [PortSpan("tcp", n, n) for n in range(1, MAX_PORTS + 1)], 1),
    ],
)
def test_a_label(text: str, spans: list[PortSpan], notes: int) -> None:
    found, complaints = parse_label(text)
    assert list(found) == spans
    assert len(complaints) == notes
    assert all("write" in complaint for complaint in complaints)


@given(st.text(max_size=300))
def test_no_label_is_more_than_a_complaint(text: str) -> None:
    asked = container(EngineContainer("1", "web", (Attachment("apps", WEB, "routed"),), text))
    payload, _ = wire.encode(Containers((asked,)), "containers", NOW)
    received = wire.decode("rack", "backstage/1/rack/vm1/containers", payload, None, NOW).fact
    assert received == Containers((asked,))


@pytest.mark.parametrize(
    ("mode", "published", "complaint"),
    [
        ("routed", (TCP443,), ""),
        ("routed", (PortSpan("tcp", 442, 442), PortSpan("tcp", 443, 443)), ""),
        ("routed", (), "not published"),
        ("routed", (UDP443,), "not published"),
        ("", (), ""),
        ("nat-unprotected", (), ""),
        ("nat", (TCP443,), "gateway_mode_ipv6 nat"),
        ("isolated", (TCP443,), "gateway_mode_ipv6 isolated"),
    ],
)
def test_the_engines_own_filter_is_looked_at(mode: str, published: tuple[PortSpan, ...], complaint: str) -> None:
    found = container(EngineContainer("1", "web", (Attachment("apps", WEB, mode),), "443/tcp", published))
    assert found.ports == (TCP443,)
    assert [complaint in note for note in found.notes] == ([True] if complaint else [])


def test_an_engine_that_is_gone_has_some_time_to_return(settings: Settings) -> None:
    containers = recorded("web")
    gone = State(synced=True, engine=Engine(containers, "no container engine", "is Docker up?", NOW))
    plan = plan_docker_host(settings, "vm1", gone, NOW + GRACE - 1)
    assert [c.name for c in told(plan).containers] == ["web"]
    assert plan.again_at == NOW + GRACE
    assert plan.problems[0].hint == "is Docker up?"
    late = told(plan_docker_host(settings, "vm1", gone, NOW + GRACE))
    assert (late.containers, late.error) == ((), "no container engine")
    never = State(synced=True, engine=Engine(error="no container engine", since=NOW))
    assert told(plan_docker_host(settings, "vm1", never, NOW)).error == "no container engine"


def test_more_containers_than_a_document_holds(settings: Settings) -> None:
    many = [
        EngineContainer(
            f"{number}",
            f"a-rather-long-name-of-a-project-{number:05}",
            (Attachment("apps", WEB + number),),
            "443/tcp" if number % 10 == 0 else None,
        )
        for number in range(2000)
    ]
    plan = plan_docker_host(settings, "vm1", State(synced=True, engine=Engine(tuple(many))), NOW)
    fact = told(plan)
    assert fact.left_out == 2000 - len(fact.containers)
    assert 100 < len(fact.containers) <= MAX_CONTAINERS
    assert sum(bool(c.ports) for c in fact.containers) == 200, "those that ask come first"
    assert len(wire.encode(fact, "containers", NOW)[0]) < wire.MAX_PAYLOAD
    assert any("more than one host can tell of" in problem.message for problem in plan.problems)


def test_a_docker_hosts_file_may_be_another(settings: Settings) -> None:
    info = node_info(settings, "vm1")
    assert (info.role, bus_config(settings, "vm1").alone, bus_config(settings, "hetzner").alone) == (
        "docker-host",
        True,
        False,
    )
    peers = {"vm1": Peer(info=info), "hetzner": Peer(info=node_info(settings, "hetzner"))}
    assert [problem.message for problem in other_configurations(peers, "firewall", "another")] == [
        "hetzner runs with another configuration"
    ]


names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", fullmatch=True)
spans = st.tuples(st.sampled_from(["tcp", "udp"]), st.integers(1, 65535)).map(
    lambda drawn: PortSpan(drawn[0], drawn[1], drawn[1])  # type: ignore[arg-type]
)
wild = st.builds(
    Container,
    name=names | st.text(max_size=5),
    addresses=st.lists(st.ip_addresses(v=6), max_size=8).map(tuple),
    ports=st.lists(spans, max_size=32).map(tuple),
    notes=st.lists(st.text(st.characters(categories=("L", "Zs")), max_size=200), max_size=8).map(tuple),
)


@given(st.lists(wild, max_size=30), st.integers(1, 60))
def test_what_fits_is_what_the_bus_takes(found: list[Container], times: int) -> None:
    many = [replace(one, name=f"{one.name[:100]}{n}") for n in range(times) for one in found]
    payload, _ = wire.encode(fit(many), "containers", NOW)
    wire.decode("rack", "backstage/1/rack/vm1/containers", payload, None, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just("2001:db8::1") | st.just("443/tcp"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Id",
                    "Names",
                    "Labels",
                    "router.expose",
                    "NetworkSettings",
                    "Networks",
                    "Ports",
                    "HostConfig",
                    "443/tcp",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values, json_values)
def test_nothing_an_engine_says_can_break_the_reader(one: object, other: object) -> None:
    read_containers(one, read_modes(other))
    read_containers([one, other], {})
    read_published(one)
    read_published({"HostConfig": {"PortBindings": one}, "NetworkSettings": {"Ports": other}})
