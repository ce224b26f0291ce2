"""Choice of uplink, cut-over and failback on a real kernel: what hosts inside notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.internet import ask
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.train import Train
from tests.lab.uplinks_world import ADDRESSES, PREFIX, SEEN, Talk, UplinksWorld, config
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

FAILBACK = "  hold_down: 0s"
HOME = "uplinks: [kpn, odido]             # only these"
SHARED = "uplinks: [{ kpn: { weight: 3 } }, { odido: { weight: 1 } }]"
RULES = "rules:\n"


@pytest.fixture(scope="module")
def running() -> Iterator[UplinksWorld]:
    with UplinksWorld() as world:
        yield world


@pytest.fixture
def world(running: UplinksWorld) -> UplinksWorld:
    running.settled()
    return running


@pytest.mark.parametrize("family", [4, 6])
def test_connections_of_a_dead_uplink_are_reset_and_no_others(world: UplinksWorld, family: int) -> None:
    laptop, phone, internet = (world.nodes[name] for name in ("laptop", "phone", "internet"))
    with (
        Talk(laptop, internet, family) as idle,
        Talk(laptop, internet, family, download=True) as download,
        Talk(phone, internet, family) as healthy,
    ):
        assert idle.source.startswith(SEEN["kpn"][family])
        wait_for(lambda: download.received > 10_000, 10, "the download")
        world.down("kpn")
        idle.wait_reset()
        download.wait_reset()
        world.uses("home", "odido")
        healthy.works()
    with Talk(laptop, internet, family) as again:
        assert again.source.startswith(SEEN["odido"][family])
        again.works()


def test_without_a_target_nothing_is_touched(world: UplinksWorld) -> None:
    laptop, internet = world.nodes["laptop"], world.nodes["internet"]
    world.down("odido")
    world.uses("guest", "kpn")
    with Talk(laptop, internet, 4) as talk:
        world.down("kpn")
        world.uses("home", None)
        world.up("kpn")
        world.uses("home", "kpn")
        talk.works()


def test_families_fail_over_alone(world: UplinksWorld) -> None:
    kpn = world.nodes["kpn"]
    with Train(world.nodes["laptop"], INTERNET4) as train:
        train.wait_flowing()
        kpn.ip(f"route del unreachable {PREFIX} proto dhcp", "addr del 2001:db8:a::2/64 dev wan")
        world.uses("home", "odido", 6)
        assert world.seen("laptop", 6).startswith(SEEN["odido"][6])
        assert world.seen("laptop", 4).startswith(SEEN["kpn"][4])
        kpn.ip(
            "addr add 2001:db8:a::2/64 dev wan nodad",
            "route replace default via 2001:db8:a::1 dev wan",
            f"route add unreachable {PREFIX} proto dhcp",
        )
        world.uses("home", "kpn", 6)
        train.wait_flowing()
    assert train.result.lost == []


def test_weights_share_new_connections(world: UplinksWorld) -> None:
    world.load(config((HOME, f"{SHARED} #")))
    wait_for(lambda: world.uplinks()["networks"]["home"]["ipv4"]["shares"] == {"kpn": 3, "odido": 1}, 10, "the shares")
    for family in (4, 6):
        found = world.sources("laptop", family, 80)
        assert set(found) == {"kpn", "odido"}
        assert 40 < found["kpn"] < 77, "3 of 4; the chance to be outside is less than one in a hundred thousand"
    world.down("odido")
    wait_for(lambda: not world.uplinks()["networks"]["home"]["ipv4"]["shares"], 10, "nothing to share")
    assert set(world.sources("laptop", 4, 10)) == {"kpn"}


def test_a_source_keeps_its_share_when_asked(world: UplinksWorld) -> None:
    world.load(config((HOME, f"{SHARED}\n    balance: source #")))
    wait_for(lambda: world.uplinks()["networks"]["home"]["ipv4"]["shares"], 10, "the shares")
    assert len(world.sources("laptop", 4, 20)) == 1


def test_rules_choose_an_uplink_while_it_can_be_used(world: UplinksWorld) -> None:
    rules = (
        "  - { from: home, to: internet, udp: 53, action: accept, via: odido }\n"
        "  - { from: home, to: internet, tcp: 80, action: accept, only: odido }\n"
    )
    world.load(config((RULES, RULES + rules)))
    laptop = world.nodes["laptop"]
    for family, address in ADDRESSES.items():
        by = {name: seen[family] for name, seen in SEEN.items()}
        wait_for(
            lambda a=address, b=by: (ask(laptop, "udp", a, 53, timeout=1.0) or "").startswith(b["odido"]),  # type: ignore[misc]
            10,
            "the rule",
        )
        assert world.seen("laptop", family, 80).startswith(by["odido"])
        assert world.seen("laptop", family, 443).startswith(by["kpn"]), "no rule says otherwise"
    assert "udp 53: accept, by odido (via)" in world.ctl("why", world.addresses("laptop")[4])
    with Talk(laptop, world.nodes["internet"], 4) as other:
        world.down("odido")
        world.uses("guest", "kpn")
        for family, address in ADDRESSES.items():
            assert (ask(laptop, "udp", address, 53) or "").startswith(SEEN["kpn"][family]), "via: another at need"
            assert world.seen("laptop", family, 80) == "", "only: no other"
        other.works()


def test_soft_failback_moves_new_connections_only_and_loses_nothing(world: UplinksWorld) -> None:
    laptop, internet = world.nodes["laptop"], world.nodes["internet"]
    world.down("kpn")
    world.uses("home", "odido")
    with (
        Talk(laptop, internet, 4, download=True) as old4,
        Talk(laptop, internet, 6, download=True) as old6,
        Train(laptop, INTERNET4) as train4,
        Train(laptop, INTERNET6) as train6,
    ):
        trains = {4: train4, 6: train6}
        for train in trains.values():
            train.wait_flowing()
        world.up("kpn")
        world.uses("home", "kpn")
        for family in (4, 6):
            world.goes_by("laptop", family, "kpn")
        old4.works()
        old6.works()
        for train in trains.values():
            train.wait_flowing()
    for family, train in trains.items():
        assert train.result.lost == []
        assert all(source.startswith(SEEN["odido"][family]) for source in train.result.sources)


def test_hard_failback_moves_a_networks_own_connections_and_no_others(world: UplinksWorld) -> None:
    laptop, internet = world.nodes["laptop"], world.nodes["internet"]
    world.load(config((FAILBACK, f"{FAILBACK}\n  failback: hard")))
    world.down("kpn")
    world.uses("home", "odido")
    phone = world.nodes["phone"]
    with (
        Talk(laptop, internet, 4) as old4,
        Talk(laptop, internet, 6) as old6,
        Talk(phone, internet, 4) as guest4,
        Talk(phone, internet, 6) as guest6,
    ):
        assert old4.source.startswith(SEEN["odido"][4])
        assert old6.source.startswith(SEEN["odido"][6])
        world.up("kpn")
        for family, old in ((4, old4), (6, old6)):
            old.wait_reset()
            world.goes_by("laptop", family, "kpn")
        guest4.works()
        guest6.works()


def test_soft_failback_with_a_limit_ends_what_was_left_behind(world: UplinksWorld) -> None:
    world.load(config((FAILBACK, f"{FAILBACK}\n  failback_limit: 500ms")))
    world.down("kpn")
    world.uses("home", "odido")
    with Talk(world.nodes["laptop"], world.nodes["internet"], 4) as old:
        world.up("kpn")
        world.uses("home", "kpn")
        old.wait_reset()


def test_manual_failback_waits_for_a_person(world: UplinksWorld) -> None:
    world.load(config((FAILBACK, f"{FAILBACK}\n  failback: manual")))
    world.down("kpn")
    world.uses("home", "odido")
    world.up("kpn")
    wait_for(lambda: world.uplinks()["uplinks"]["kpn"]["ipv4"]["well"], 20, "kpn to be well")
    assert world.seen("laptop", 4).startswith(SEEN["odido"][4])
    assert "routerctl uplink kpn enable" in world.ctl("uplinks")
    world.ctl("uplink", "kpn", "enable")
    world.uses("home", "kpn")


def test_hold_down_keeps_a_network_where_it_is(world: UplinksWorld) -> None:
    world.load(config((FAILBACK, "  hold_down: 5m")))
    world.down("kpn")
    world.uses("home", "odido")
    world.up("kpn")
    wait_for(lambda: world.uplinks()["uplinks"]["kpn"]["ipv4"]["well"], 20, "kpn to be well")
    assert "lately, must be well for 300 s" in " ".join(world.ctl("uplinks").split())
    assert world.seen("laptop", 6).startswith(SEEN["odido"][6])
    world.ctl("uplink", "kpn", "enable")
    world.uses("home", "kpn")


def test_a_drained_uplink_keeps_its_connections_and_gets_no_new_ones_over_a_restart(world: UplinksWorld) -> None:
    laptop = world.nodes["laptop"]
    with Talk(laptop, world.nodes["internet"], 6) as old, Train(laptop, INTERNET6) as train:
        train.wait_flowing()
        world.ctl("uplink", "kpn", "drain")
        world.uses("home", "odido")
        assert world.seen("laptop", 4).startswith(SEEN["odido"][4])
        world.services["firewall"].dinitctl("restart", "router-agent")
        wait_for(lambda: "ready" in world.ctl("status").splitlines()[0], 20, "the agent again")
        world.uses("home", "odido")
        assert "drained by hand" in world.ctl("uplinks")
        assert "kpn: drained by hand" in world.ctl("status")
        world.ctl("uplink", "kpn", "enable")
        world.uses("home", "kpn")
        old.works()
        train.wait_flowing()
    assert train.result.lost == []


def test_a_preferred_uplink_comes_first_everywhere(world: UplinksWorld) -> None:
    world.ctl("uplink", "odido", "prefer")
    world.uses("home", "odido")
    assert "odido is preferred by hand" in world.ctl("why", world.addresses("laptop")[4], INTERNET4)
    world.ctl("uplink", "kpn", "prefer")
    world.uses("home", "kpn")
    world.uses("guest", "kpn")


def test_the_commands_say_what_is_wrong(world: UplinksWorld) -> None:
    firewall = world.nodes["firewall"]
    for words, said in (
        (["uplink", "nix", "drain"], "there is no uplink 'nix'; there are: kpn, odido"),
        (["why", "nobody"], "'nobody' is no address and no host; hosts: nas, printer"),
        (["why", "10.10.0.5", "2001:db8::1"], "different families"),
    ):
        answer = firewall.run(["routerctl", *words], check=False)
        assert answer.returncode == 1
        assert said in answer.stderr
    assert "the firewall chooses" in world.nodes["kpn"].run(["routerctl", "uplinks"], check=False).stderr
    assert "10.10.0.5 in home: kpn" in world.ctl("why", "nas")
