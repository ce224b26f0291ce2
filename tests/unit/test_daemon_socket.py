"""A daemon with a control socket tests and takes its text there, and says how it went."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.desired import ConfigFile
from agent.drivers.daemon import DaemonError
from tests.unit.daemon_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def kea(text: str) -> ConfigFile:
    """Like radvd's, of a daemon with a control socket."""
    return ConfigFile("kea", text, check=("grep", "-q", "good", "{path}"), service="kea", reload="HUP", socket="/s")


async def idle() -> None:
    """Let what runs beside come to its end."""
    for _ in range(10):
        await asyncio.sleep(0)


async def served(world: World) -> None:
    """Kea runs and answers."""
    await world.apply(kea("good 1"), kea=True)
    await world.daemons.prove()
    world.socket.says = ""
    world.socket.asked.clear()


async def test_a_daemon_that_answers_on_its_socket_tests_and_takes_a_text_there(world: World) -> None:
    await served(world)
    file = ConfigFile("kea", "good 2", check=("false",), service="kea", reload="HUP", socket="/s")
    assert await world.apply(file, kea=True) == []
    await idle()
    assert world.socket.asked == ["test /s", "reload /s"]
    assert world.text("kea") == "good 2"


async def test_what_a_running_daemon_refuses_its_checker_may_accept(world: World) -> None:
    await served(world)
    file = ConfigFile("kea", "better 2", check=("true",), service="kea", reload="HUP", socket="/s")
    await world.apply(file, kea=True)
    assert world.text("kea") == "better 2"
    with pytest.raises(DaemonError, match="kea refused"):
        await world.apply(kea("bad"), kea=True)


async def test_a_daemon_that_is_silent_on_its_socket_gets_its_signal(world: World) -> None:
    await served(world)
    world.socket.says = None
    await world.apply(kea("good 2"), kea=True)
    await idle()
    assert world.control.told == ["HUP kea"]
    world.control.up.clear()
    await world.apply(kea("good 3"), kea=True)
    await idle()
    assert world.control.told == ["start kea"]


async def test_a_daemon_stopped_while_it_reloads_stays_stopped(world: World) -> None:
    await served(world)
    world.socket.free.clear()
    await world.apply(kea("good 2"), kea=True)
    await idle()
    await world.apply(kea("good 2"), kea=False)
    world.socket.says = None
    world.socket.free.set()
    await idle()
    assert world.control.told == ["stop kea"]


async def test_a_reload_is_not_waited_for_and_asks_for_another_look_when_it_is_done(world: World) -> None:
    await served(world)
    world.socket.free.clear()
    await world.apply(kea("good 2"), kea=True)
    await world.daemons.prove()
    assert world.pokes == 0
    world.socket.free.set()
    await idle()
    assert world.pokes == 1
    await world.daemons.prove()
    assert (world.directory / "good" / "kea").read_text() == "good 2"


async def test_a_text_that_a_daemon_could_not_take_gives_way_to_the_last_good_one(world: World) -> None:
    await served(world)
    world.socket.says = "no such interface"
    await world.apply(kea("good 2"), kea=True)
    await idle()
    with pytest.raises(DaemonError, match="kea did not take its new text: no such interface; its last good kea is"):
        await world.daemons.prove()
    assert world.text("kea") == "good 1"
    world.socket.says = ""
    world.socket.asked.clear()
    with pytest.raises(DaemonError, match="cannot run with this text"):
        await world.apply(kea("good 2"), kea=True)
    await idle()
    assert world.socket.asked == ["reload /s"], "it was given its last good one"
    await world.daemons.prove()
    assert world.control.up == {"kea"}


async def test_a_daemon_that_takes_not_even_its_last_good_text_is_restarted(world: World) -> None:
    await served(world)
    world.socket.says = "no memory"
    await world.apply(kea("good 2"), kea=True)
    for _ in range(2):
        await idle()
        with pytest.raises(DaemonError, match="no memory"):
            await world.daemons.prove()
    assert world.control.told == ["restart kea"]
