"""Generated files: a refused text never replaces a good one, a service is told once, a fatal text is taken back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.desired import ConfigFile
from agent.drivers.daemon import DaemonError, Daemons


class FakeControl:
    """A service manager that writes down what it is told; a service may die of a word in a file."""

    def __init__(self) -> None:
        self.up: set[str] = set()
        self.told: list[str] = []
        self.asked: list[str] = []
        self.broken = False

    def _tell(self, text: str) -> None:
        if self.broken:
            raise OSError("no dinit in reach")
        self.told.append(text)

    async def started(self, service: str) -> bool:
        if self.broken:
            raise OSError("no dinit in reach")
        self.asked.append(service)
        return service in self.up

    async def start(self, service: str) -> None:
        self._tell(f"start {service}")
        self.up.add(service)

    async def stop(self, service: str) -> None:
        self._tell(f"stop {service}")
        self.up.discard(service)

    async def restart(self, service: str) -> None:
        self._tell(f"restart {service}")

    async def signal(self, service: str, name: str) -> None:
        if service not in self.up:
            raise OSError(f"{service} is not running")
        self._tell(f"{name} {service}")


class FakeSocket:
    """A daemon's control socket. `says`: what it answers to a reload; None: nobody answers at all."""

    def __init__(self) -> None:
        self.says: str | None = None
        self.asked: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    async def test(self, path: str, text: str) -> str | None:
        self.asked.append(f"test {path}")
        if self.says is None:
            return None
        return "" if "good" in text else "it is bad"

    async def reload(self, path: str) -> str | None:
        self.asked.append(f"reload {path}")
        await self.free.wait()
        return self.says


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.control = FakeControl()
        self.socket = FakeSocket()
        self.pokes = 0
        self.daemons = self.again()

    def again(self) -> Daemons:
        """The driver of a new life of the agent."""
        etc, good = self.directory / "etc", self.directory / "good"
        return Daemons(etc, good, self.control, (OSError,), self.socket, self._poked)

    def _poked(self) -> None:
        self.pokes += 1

    async def apply(self, *files: ConfigFile, **services: bool) -> list[str]:
        self.control.told.clear()
        await self.daemons.apply(files, services)
        return list(self.control.told)

    def text(self, name: str) -> str:
        return (self.directory / "etc" / name).read_text()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def radvd(text: str) -> ConfigFile:
    """Its check accepts what has the word good in it."""
    return ConfigFile("radvd.conf", text, check=("grep", "-q", "good", "{path}"), service="radvd", reload="HUP")


async def test_a_service_starts_once_its_file_is_there_and_is_told_of_a_new_text_once(world: World) -> None:
    assert await world.apply(radvd("good 1"), radvd=True) == ["start radvd"]
    assert await world.apply(radvd("good 1"), radvd=True) == []
    assert await world.apply(radvd("good 2"), radvd=True) == ["HUP radvd"]
    assert await world.apply(radvd("good 2"), radvd=False) == ["stop radvd"]


async def test_a_refused_text_stays_beside_the_good_one(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    with pytest.raises(DaemonError, match=r"radvd.conf refused"):
        await world.apply(radvd("bad"), radvd=True)
    assert world.control.told == []
    assert world.text("radvd.conf") == "good 1"
    assert world.text("radvd.conf.refused") == "bad"


async def test_a_service_whose_first_text_is_refused_is_not_started(world: World) -> None:
    with pytest.raises(DaemonError, match="refused"):
        await world.apply(radvd("bad"), radvd=True)
    assert world.control.up == set()


async def test_one_refused_file_does_not_stop_the_others(world: World) -> None:
    other = ConfigFile("kea.conf", "x", service="kea", reload="restart")
    with pytest.raises(DaemonError, match="refused"):
        await world.apply(radvd("bad"), other, radvd=True, kea=True)
    assert world.control.up == {"kea"}


async def test_the_strongest_word_of_several_files_is_said_once(world: World) -> None:
    one = ConfigFile("a", "1", service="s", reload="HUP")
    two = ConfigFile("b", "1", service="s", reload="restart")
    await world.apply(one, two, s=True)
    changed = [ConfigFile("a", "2", service="s", reload="HUP"), ConfigFile("b", "2", service="s", reload="restart")]
    assert await world.apply(*changed, s=True) == ["restart s"]


async def test_an_agent_that_restarts_tells_nothing_twice(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    await world.daemons.prove()
    world.daemons = world.again()
    assert await world.apply(radvd("good 1"), radvd=True) == []


async def test_an_agent_killed_between_writing_and_telling_tells_it_in_its_next_life(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    await world.daemons.prove()
    (world.directory / "etc" / "radvd.conf").write_text("good 2")
    world.daemons = world.again()
    assert await world.apply(radvd("good 2"), radvd=True) == ["HUP radvd"]


async def test_a_service_that_dies_of_an_accepted_text_gets_the_last_good_one(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    await world.daemons.prove()
    await world.apply(radvd("good but fatal"), radvd=True)
    world.control.up.clear()
    with pytest.raises(DaemonError, match=r"radvd did not stay up; its last good radvd\.conf is back"):
        await world.daemons.prove()
    assert world.text("radvd.conf") == "good 1"
    assert world.control.up == {"radvd"}
    with pytest.raises(DaemonError, match="cannot run with this text"):
        await world.apply(radvd("good but fatal"), radvd=True)
    assert world.text("radvd.conf") == "good 1"
    assert await world.apply(radvd("good 3"), radvd=True) == ["HUP radvd"]


async def test_without_a_service_manager_the_files_are_right_all_the_same(world: World) -> None:
    world.control.broken = True
    with pytest.raises(DaemonError, match="no dinit in reach"):
        await world.apply(radvd("good 1"), radvd=True)
    assert world.text("radvd.conf") == "good 1"


async def test_a_check_that_is_not_installed_is_said(world: World) -> None:
    with pytest.raises(DaemonError, match="no-such-program is not installed"):
        await world.apply(ConfigFile("x", "1", check=("no-such-program", "{path}")))


async def test_a_file_gets_its_mode_and_a_directory_that_is_missing(world: World) -> None:
    await world.apply(ConfigFile("ppp/chap-secrets", "x", mode=0o600))
    assert (world.directory / "etc/ppp/chap-secrets").stat().st_mode & 0o777 == 0o600


async def test_a_service_of_which_nothing_changed_is_asked_after_at_a_resync_only(world: World) -> None:
    other = ConfigFile("other.conf", "x", service="other", reload="HUP")
    await world.apply(radvd("good 1"), other, radvd=True, other=True)
    world.control.asked.clear()
    await world.daemons.apply([radvd("good 2"), other], {"radvd": True, "other": True}, full=False)
    assert world.control.asked == [], "radvd was told without a question"
    assert world.control.told[-1] == "HUP radvd"
    world.control.up.clear()
    assert await world.apply(radvd("good 2"), other, radvd=True, other=True) == ["start radvd", "start other"]


async def test_a_service_that_fell_meanwhile_is_started_instead_of_told(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    world.control.up.clear()
    world.control.told.clear()
    await world.daemons.apply([radvd("good 2")], {"radvd": True}, full=False)
    assert world.control.told == ["start radvd"]


async def test_a_service_that_is_stopped_is_not_looked_at_any_more(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    assert await world.apply(radvd("good 1"), radvd=False) == ["stop radvd"]
    await world.daemons.prove()
    assert world.control.up == set()


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
