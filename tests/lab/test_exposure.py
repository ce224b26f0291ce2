"""Containers that open what they may, with real agents, a real broker over TLS, and a recorded engine.

Every port of `SERVED` is answered by every container at every moment: what is open or closed is the firewall's doing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from agent.docker_host import LEFT
from tests.lab.exposure_world import ExposureWorld
from tests.lab.hoster_world import address
from tests.lab.wait import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def module_world() -> Iterator[ExposureWorld]:
    with ExposureWorld() as world:
        yield world


@pytest.fixture
def world(module_world: ExposureWorld) -> ExposureWorld:
    """Each test begins with no containers and with agents that run."""
    for name, agent in module_world.agents.items():
        if agent.poll() is not None:
            module_world.start_agent(name)
            module_world.agent_ready(name)
    module_world.engines["vm1"].step("all gone")
    wait_for(lambda: not module_world.elements(), 30, module_world.said)
    return module_world


def test_a_container_opens_its_ports_and_closes_them(world: ExposureWorld) -> None:
    assert not world.asked("web", 443)
    world.engines["vm1"].step("web")
    world.until_open("web", 443)
    assert world.asked("web", 443, "udp")
    assert world.open_ports() == {("web", "443/tcp"), ("web", "443/udp")}
    for container, port in (("web", 80), ("web", 22), ("db", 443), ("app", 443)):
        assert not world.asked(container, port), f"{container}:{port} is nobody's wish"
    world.engines["vm1"].step("web killed")
    world.until_closed("web", 443)
    assert not world.asked("web", 443, "udp")
    world.engines["vm1"].step("web started")
    world.until_open("web", 443)
    world.engines["vm1"].step("web away")  # it runs, without a network
    world.until_closed("web", 443)
    assert "it is on no network" in "".join(world.refusals())


def test_containers_have_names_as_they_come_and_go(world: ExposureWorld) -> None:
    world.engines["vm1"].step("more")
    wait_for(lambda: world.named("plain.vm1.rack.example") == ["2001:db8:77:1:21:ffff:0:2"], 30, world.said)
    assert world.named("web.vm1.rack.example") == [address("web")]
    assert world.named("host-s-own.vm1.rack.example") == []
    assert world.named("2001:db8:77:1:21:ffff:0:2", "PTR") == ["plain.vm1.rack.example."]
    assert world.named(address("web"), "PTR") == ["web.rack.example."], "the configuration's name"
    world.engines["vm1"].step("web killed")
    wait_for(lambda: not world.named("web.vm1.rack.example"), 30, world.said)
    assert world.named("db.vm1.rack.example") == [address("db")]


def test_what_is_asked_beyond_the_allowance_is_refused_and_shown(world: ExposureWorld) -> None:
    world.engines["vm1"].step("more")
    world.until_open("db", 80)
    assert not world.asked("db", 443)
    assert world.elements() == {
        f"{address('web')} tcp 443",
        f"{address('web')} udp 443",
        f"{address('db')} tcp 80",
    }
    said = "\n".join(world.refusals())
    assert "db 5432/tcp: vm1 may expose 80/tcp, 443/tcp, 443/udp only (may_expose)" in said
    assert "router.expose: 'postgres' is no port" in said
    assert "5432/tcp is asked for but not published" in said
    assert "host_s.own None: it uses its host's own network" in said
    text = world.ctl("firewall", "exposures")
    assert "REFUSED db 5432/tcp 2001:db8:77:1:21::5: vm1 may expose" in text
    status = world.problems("firewall")
    assert "exposure/vm1" in {problem["part"] for problem in status["problems"]}
    # The VM's own agent says what is wrong with its labels, too.
    inside = world.ctl("vm1", "exposures")
    assert "WRONG db: router.expose: 'postgres' is no port" in inside
    assert "asked for web 443/tcp" in inside
    assert "agent ready, 4 containers" in world.ctl("firewall", "status")
    assert "4, 3 of them with the label router.expose" in world.ctl("vm1", "status")
    log = world.nodes["vm1"].log("agent").rpartition("agent starts")[2]
    assert log.count("'postgres' is no port") == 1, "said once"


def test_a_flood_of_events_changes_nothing_and_hides_nothing(world: ExposureWorld) -> None:
    engine = world.engines["vm1"]
    engine.step("web")
    world.until_open("web", 443)
    before = len(engine.asked)
    for number in range(3000):
        engine.say(b'{"status":"exec_create: nonsense"}\n' if number % 2 else b"\xff\x00 not even JSON")
    engine.step("web killed")
    for _ in range(3000):
        engine.say(b"x" * 500)
    world.until_closed("web", 443)
    looks = sum("/containers/json" in line for line in engine.asked[before:])
    assert looks < 200, "a flood is not a look for each"
    assert world.exposures()["hosts"]["vm1"]["agent"] == "ready"


def test_answers_that_are_nonsense_open_nothing_and_break_nothing(world: ExposureWorld) -> None:
    engine = world.engines["vm1"]
    engine.step("web")
    world.until_open("web", 443)
    for nonsense in (b"HTTP/1.0 200 OK\r\n\r\n[{", b"\x00" * 100):
        engine.answers["/containers/json"] = nonsense
        engine.say(b"{}\n")
        wait_for(lambda: _failing(world), 20, world.said)
        assert world.asked("web", 443), "what was known counts for a while"
        engine.step("web started")
        wait_for(lambda: not _failing(world), 30, world.said)
    assert world.asked("web", 443)


def _failing(world: ExposureWorld) -> list[str]:
    problems = json.loads(world.ctl("vm1", "status", "--json"))["problems"]
    return [problem["message"] for problem in problems if problem["part"] == "docker"]


def test_an_engine_that_is_gone_closes_after_a_while_and_opens_when_it_is_back(world: ExposureWorld) -> None:
    engine = world.engines["vm1"]
    engine.step("web")
    world.until_open("web", 443)
    engine.stop()
    wait_for(lambda: _failing(world), 20, world.said)
    assert world.asked("web", 443), "an engine may restart while its containers run on"
    world.until_closed("web", 443, 40)
    known = world.exposures()["hosts"]["vm1"]
    assert "does not exist" in known["error"]
    assert "does not know its containers" in json.dumps(world.problems("firewall")["problems"])
    engine.start()
    world.until_open("web", 443)
    assert world.exposures()["hosts"]["vm1"]["error"] == ""


def test_an_agent_that_is_killed_is_lost_and_one_that_leaves_is_away(world: ExposureWorld) -> None:
    world.engines["vm1"].step("web")
    world.until_open("web", 443)
    world.stop_agent("vm1", kill=True)
    world.until_closed("web", 443, 40)
    assert world.exposures()["hosts"]["vm1"]["agent"] == "lost"
    assert "vm1 is lost" in json.dumps(world.problems("firewall")["problems"])
    world.start_agent("vm1")
    world.agent_ready()
    world.until_open("web", 443)
    world.stop_agent("vm1")
    wait_for(lambda: world.exposures()["hosts"]["vm1"]["agent"] == "away", 20, world.said)
    assert world.asked("web", 443), "an agent made anew closes nothing"
    until = world.problems("firewall")["peers"]["vm1"]["containers"]["valid_until"]
    assert until <= time.clock_gettime(time.CLOCK_BOOTTIME) + LEFT, "one that stays away does"
    world.start_agent("vm1")
    world.agent_ready()
    assert world.asked("web", 443)


def test_an_agent_that_lies_opens_nothing_beyond_its_allowance(world: ExposureWorld) -> None:
    world.stop_agent("vm1")
    known = [address("web"), address("app"), address("vm1"), address("vm2"), "2001:db8:77:1:10::1", "2001:db8:f::7"]
    everything = ["1-65535/tcp", "1-65535/udp"]
    liar = {"name": "liar", "addresses": known, "ports": everything}
    twin = {"name": "twin", "addresses": [address("web")], "ports": everything}
    world.lie("vm1", {"containers": [liar, twin]}, node="vm2")  # the broker drops it
    world.lie("vm1", {"containers": [liar, twin]})
    world.until_open("web", 443)
    assert world.elements() == {f"{address('web')} tcp 80", f"{address('web')} tcp 443", f"{address('web')} udp 443"}
    for container in ("app", "db"):
        assert not world.asked(container, 443)
    said = "\n".join(world.refusals())
    assert f"{address('app')} is not of vm1's containers" in said
    assert f"{address('vm2')} is not of vm1's containers" in said
    assert "twin 1-65535/tcp: 2001:db8:77:1:21::80 is liar's already" in said
    world.lie("vm1", {"containers": [{"name": "../../etc", "ports": ["443/tcp"]}]})
    world.lie("vm1", {"containers": [{**twin, "ports": ["0-99999/tcp"]}]})
    world.lie("vm1", {"containers": [], "error": ""})
    world.until_closed("web", 443)
    assert world.services["firewall"].log("router-agent").count("invalid document dropped") == 1, "said once"
    assert not _failed_parts(world)


def _failed_parts(world: ExposureWorld) -> list[str]:
    return [name for name, part in world.problems("firewall")["parts"].items() if part["error"]]


def test_ports_stay_open_over_restarts_of_firewall_agent_and_broker(world: ExposureWorld) -> None:
    world.engines["vm1"].step("web")
    world.until_open("web", 443)
    before = world.elements()
    services = world.services["firewall"]
    kept = world.nodes["firewall"].path("/var/lib/router/peers.json")
    wait_for(lambda: kept.exists() and address("web") in kept.read_text(), 30, world.said)
    for service in ("router-agent", "mosquitto"):
        services.dinitctl("restart", service)
        wait_for(lambda: world.asked("web", 443), 20, world.said)
        wait_for(lambda: world.elements() == before, 20, world.said)
    world.agent_ready()
    world.engines["vm1"].step("web killed")
    world.until_closed("web", 443)


def test_the_allowance_may_change(world: ExposureWorld) -> None:
    world.engines["vm1"].step("more")
    world.until_open("db", 80)
    world.load(world._text.replace("tcp: [80, 443]", "tcp: 443"))
    world.until_closed("db", 80)
    assert world.asked("web", 443)
    world.load(world._text)
    world.until_open("db", 80)
