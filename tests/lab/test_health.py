"""Health on the wire: what is dead without a word is noticed and moved away from, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab.capture import Capture
from tests.lab.faults import blackhole, frozen_broker, mute, vanished
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.train import Train
from tests.lab.uplinks_world import SEEN, Talk, UplinksWorld, config
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
# Nobody has these addresses: one of the targets of each family is dead all the time.
_QUICK = ("recover_after: 10", "recover_after: 3")
DEAD4, DEAD6 = "203.0.113.99", "2001:db8:f::99"


class HealthWorld(UplinksWorld):
    """The world of uplinks, where kpn has two targets per family, the first one dead."""

    def __init__(self) -> None:
        targets = f'targets: [{DEAD4}, "{DEAD6}", '
        super().__init__(config(("targets: [", targets), _QUICK))
        self._loaded = config()

    def health(self, name: str) -> dict[int, Any]:
        """Family → what the ingress's probes say."""
        status = json.loads(self.nodes[name].output(["routerctl", "status", "--json"]))
        found = status["facts"].get("uplink/health") or {}
        return {4: found.get("ipv4"), 6: found.get("ipv6")}

    def health_told(self, name: str) -> None:
        """Until what an ingress says now has come by the bus: its node is there and its uplink's health is known."""

        def told() -> bool:
            fares = self.uplinks()["uplinks"][name]
            return all(fares[f]["well"] and fares[f]["loss"] is not None for f in ("ipv4", "ipv6"))

        wait_for(told, 30.0, lambda: f"news of {name}: {self.uplinks()['uplinks'][name]}", interval=0.05)

    def is_up(self, name: str, *families: int, up: bool = True) -> None:
        """Until an ingress's probes say so of both families, or of those named."""

        def said() -> bool:
            found = self.health(name)
            return all(found[family] is not None and found[family]["up"] is up for family in families or (4, 6))

        wait_for(said, 20.0, lambda: f"{name} to be {'up' if up else 'down'}: {self.health(name)}", interval=0.05)

    def why(self, network: str) -> str:
        """Why a network uses what it uses, both families in one text."""
        found = self.uplinks()["networks"][network]
        return f"{found['ipv4']['why']} / {found['ipv6']['why']}"


@pytest.fixture(scope="module")
def world() -> Iterator[HealthWorld]:
    with HealthWorld() as world:
        world.is_up("kpn")
        world.is_up("odido")
        world.settled()
        yield world


def test_one_dead_target_is_not_a_dead_uplink(world: HealthWorld) -> None:
    for dead, alive in ((DEAD4, INTERNET4), (DEAD6, INTERNET6)):
        with Capture(world.nodes["kpn"], "wan", lambda p, d=dead, a=alive: p.destination in {d, a}) as capture:  # type: ignore[misc]
            for _ in range(5):
                capture.wait(lambda p, dead=dead: p.destination == dead)  # type: ignore[misc]
                capture.wait(lambda p, alive=alive: p.destination == alive)  # type: ignore[misc]
    health = world.health("kpn")
    assert [health[family]["up"] for family in (4, 6)] == [True, True]
    assert "down" not in [line for line in world.logs("kpn").splitlines() if "uplink probed" in line][-1]


def test_a_silent_blackhole_is_noticed_and_its_end_too_and_each_family_moves_once(world: HealthWorld) -> None:
    world.settled()
    laptop = world.nodes["laptop"]
    with Train(laptop, INTERNET4) as four, Train(laptop, INTERNET6) as six:
        for train in (four, six):
            train.wait_flowing()
        with blackhole(world.nodes["kpn-isp"]):
            for train, family in ((four, 4), (six, 6)):
                train.wait_source(lambda seen, family=family: seen.startswith(SEEN["odido"][family]), 20)  # type: ignore[misc]
            world.uses("home", "odido")
            assert "probes fail" in world.why("home")
        world.is_up("kpn")
        world.uses("home", "kpn")
        for train in (four, six):
            train.wait_flowing()
    assert [len(train.result.gaps) for train in (four, six)] == [1, 1], "the way back loses nothing"


def test_a_blackhole_of_one_family_leaves_the_other_alone(world: HealthWorld) -> None:
    world.settled()
    with Train(world.nodes["laptop"], INTERNET4) as untouched:
        untouched.wait_flowing()
        with blackhole(world.nodes["kpn-isp"], 6):
            world.uses("home", "odido", 6)
            world.uses("home", "kpn", 4)
            world.is_up("kpn", 4)
        world.uses("home", "kpn", 6)
        untouched.wait_flowing()
    assert untouched.result.lost == []


def test_without_a_probe_a_next_hop_that_falls_silent_is_noticed(world: HealthWorld) -> None:
    world.settled()
    with mute(world.nodes["odido-isp"]):
        world.uses("guest", "kpn")
        world.is_up("odido", up=False)
    world.is_up("odido")
    world.uses("guest", "odido")


def test_an_agent_that_begins_with_a_dead_next_hop_knows_it(world: HealthWorld) -> None:
    world.settled()
    odido, services = world.nodes["odido"], world.services["odido"]
    services.dinitctl("stop", "router-agent")
    odido.path("/var/lib/router/choice.json").unlink(missing_ok=True)  # it has never known
    with mute(world.nodes["odido-isp"]):
        odido.ip("neigh flush dev wan")
        services.dinitctl("start", "router-agent")
        world.is_up("odido", up=False)
        world.uses("guest", "kpn")
    world.is_up("odido")
    world.uses("guest", "odido")


def test_an_agent_that_restarts_goes_on_knowing_what_is_dead(world: HealthWorld) -> None:
    world.settled()
    phone = world.nodes["phone"]
    with mute(world.nodes["odido-isp"]):
        world.uses("guest", "kpn")
        for family in (4, 6):
            world.goes_by("phone", family, "kpn")
        with Train(phone, INTERNET4) as four, Train(phone, INTERNET6) as six:
            for train in (four, six):
                train.wait_flowing()
            before = world.logs("odido").count("uplink probed")
            world.services["odido"].dinitctl("restart", "router-agent")
            wait_for(lambda: world.logs("odido").count("uplink probed") > before, 20, "a verdict of its new life")
            world.is_up("odido", up=False)
            for train in (four, six):
                train.wait_flowing()
        assert [train.result.lost for train in (four, six)] == [[], []], "nothing tried the dead uplink"
    world.is_up("odido")
    world.uses("guest", "odido")


def test_a_next_hop_that_answers_nobody_but_is_there_is_not_dead(world: HealthWorld) -> None:
    world.settled()
    odido, isp = world.nodes["odido"], world.nodes["odido-isp"]
    mac = json.loads(isp.output(["ip", "-j", "link", "show", "line"]))[0]["address"]
    hops = ("198.51.100.1", "2001:db8:b::1")
    with mute(isp):
        world.down("odido")
        world.uses("guest", "kpn")
        odido.ip(*(f"neigh replace {hop} lladdr {mac} nud permanent dev wan" for hop in hops))
        world.up("odido")
        world.is_up("odido")
        world.uses("guest", "odido")
        for family in (4, 6):
            world.goes_by("phone", family, "odido")
    odido.ip(*(f"neigh del {hop} dev wan" for hop in hops))
    world.settled()


def test_an_ingress_that_is_gone_is_noticed_without_a_word_from_it(world: HealthWorld) -> None:
    world.settled()
    with vanished(world, "kpn"):
        world.uses("home", "odido")
        assert "does not answer" in world.why("home")
        for family in (4, 6):
            world.goes_by("laptop", family, "odido")
    world.uses("home", "kpn")


def test_with_a_dead_broker_the_firewall_learns_on_the_dmz_what_an_ingress_knows(world: HealthWorld) -> None:
    world.settled()
    with frozen_broker(world):
        with blackhole(world.nodes["kpn-isp"], 4):
            world.uses("home", "odido", 4)
            assert "says that nothing passes" in world.why("home")
            world.uses("home", "kpn", 6)
        world.uses("home", "kpn", 4)
        world.down("kpn")
        world.uses("home", "odido")
        world.up("kpn")
    world.settled()


def test_with_a_dead_broker_the_firewall_learns_that_an_uplink_is_back(world: HealthWorld) -> None:
    world.settled()
    for fault, told in (("hole", "probes fail"), ("carrier", "no carrier")):
        with ExitStack() as stack:
            mending = stack.enter_context(ExitStack())
            if fault == "hole":
                mending.enter_context(blackhole(world.nodes["kpn-isp"]))
            else:
                world.down("kpn")
                mending.callback(world.up, "kpn")
            wait_for(lambda told=told: world.why("home").count(told) == 2, 20, f"the bus to tell: {told}")  # type: ignore[misc]
            stack.enter_context(frozen_broker(world))
            mending.close()
            world.uses("home", "kpn")
    world.settled()


def test_what_a_broker_tells_late_ends_no_connection_of_an_uplink_that_is_well_again(world: HealthWorld) -> None:
    world.settled()
    laptop, internet = world.nodes["laptop"], world.nodes["internet"]
    with ExitStack() as stack:
        with frozen_broker(world):
            for _ in range(2):
                world.down("kpn")
                world.uses("home", "odido")
                world.up("kpn")
                world.uses("home", "kpn")
            for family in (4, 6):
                world.goes_by("laptop", family, "kpn")
            talks = [stack.enter_context(Talk(laptop, internet, family)) for family in (4, 6)]
            trains = [stack.enter_context(Train(laptop, address)) for address in (INTERNET4, INTERNET6)]
            for train in trains:
                train.wait_flowing()
            told = len(world.logs("firewall"))
        wait_for(lambda: "the ingress says otherwise" in world.logs("firewall")[told:], 20, "late news to come")
        world.health_told("kpn")
        for talk in talks:
            talk.works()
        for train in trains:
            train.wait_flowing()
    assert [train.result.lost for train in trains] == [[], []]
