"""A file is written whole or not at all, and what must outlive a power cut is on the disk before it has its name."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from agent.desired import ConfigFile
from agent.desired.lists import ListSource
from agent.desired.names import Names, Record, ZoneTarget
from agent.drivers.config_store import ConfigStore, Kept
from agent.drivers.lists import Lists
from agent.drivers.memory import MemoryStore
from agent.drivers.zones import Zones
from agent.files import write_whole
from agent.model import Memory
from agent.names import NameKeeper
from tests.unit.daemon_world import World


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was put on the disk, in order: names of files as they were then, with the size, and of directories."""
    found: list[str] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        found.append(f"{path.name}/" if path.is_dir() else f"{path.name} {path.stat().st_size}")

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_the_text_then_the_name(tmp_path: Path, synced: list[str]) -> None:
    path = tmp_path / "new" / "x"
    write_whole(path, "four", 0o640)
    assert synced == ["x.tmp 4", "new/"]
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("four", 0o640)
    assert [found.name for found in path.parent.iterdir()] == ["x"]


def test_what_need_not_last_waits_for_no_disk(tmp_path: Path, synced: list[str]) -> None:
    write_whole(tmp_path / "x", "four", durable=False)
    assert synced == []


def test_where_it_fails_the_file_before_stays_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text("before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert [found.name for found in tmp_path.iterdir()] == ["x"]


def test_a_link_in_its_way_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("its own")
    (tmp_path / "x.tmp").symlink_to(other)
    write_whole(tmp_path / "x", "text")
    assert (other.read_text(), (tmp_path / "x").read_text()) == ("its own", "text")


async def _configuration(directory: Path) -> None:
    ConfigStore(directory).save(Kept("text", "name", "base"))


async def _memory(directory: Path) -> None:
    MemoryStore(directory, "home").save(Memory(marks={"kpn": 1}))


async def _zones(directory: Path) -> None:
    Zones(directory).prepare(["home.arpa"])


async def _lists(directory: Path) -> None:
    lists = Lists(directory / "lists.json")
    (directory / "l").write_text("192.0.2.1\n")
    await lists._read(ListSource("l", file=str(directory / "l")))


async def _names(directory: Path) -> None:
    async def nothing() -> None:
        pass

    keeper = NameKeeper(Zones(directory), directory / "public.json", lambda: 0.0, nothing, nothing)
    record = Record("www.example.org", "AAAA", "2001:db8::1")
    target = ZoneTarget("example.org", IPv4Address("127.0.0.1"), 1, str(directory / "no"), (record,), 60)
    keeper.apply(Names(public=target))
    await keeper._keep_public()


async def _daemons(directory: Path) -> None:
    world = World(directory)
    await world.apply(ConfigFile("radvd.conf", "text", service="radvd"), radvd=True)
    await world.daemons.prove()


@pytest.mark.parametrize(
    ("write", "names"),
    [
        (_configuration, {"config.json"}),
        (_memory, {"marks.json", "npt.json"}),
        (_zones, {"ddns.key", "ddns.json", "home.arpa.zone", "empty", "localhost"}),
        (_lists, {"lists.json"}),
        (_names, {"public.json"}),
        (_daemons, {"radvd.conf"}),  # the good one
    ],
)
async def test_all_that_must_last_is_on_the_disk(
    tmp_path: Path, synced: list[str], write: Callable[[Path], Awaitable[None]], names: set[str]
) -> None:
    await write(tmp_path)
    assert {found.partition(".tmp ")[0] for found in synced if ".tmp " in found} == names
    assert not [found for found in synced if found.endswith(" 0")]
    assert len([found for found in synced if found.endswith("/")]) == len(names)
