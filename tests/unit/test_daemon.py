"""Generated files: a refused text never replaces a good one, a service is told once, a fatal text is taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.desired import ConfigFile
from agent.drivers.daemon import DaemonError
from tests.unit.daemon_world import World


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


async def test_content_that_is_no_text_is_another_text(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    await world.daemons.prove()
    (world.directory / "etc/radvd.conf").write_bytes(b"\xff\xfe")
    assert await world.apply(radvd("good 1"), radvd=True) == []
    assert world.text("radvd.conf") == "good 1"
    (world.directory / "good/radvd.conf").write_bytes(b"\xff\xfe")
    world.daemons = world.again()
    assert await world.apply(radvd("good 1"), radvd=True) == ["HUP radvd"]


async def test_no_text_that_stays_as_the_new_one_is_refused_is_given_to_nobody(world: World) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    (world.directory / "etc/radvd.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(DaemonError, match="refused"):
        await world.apply(radvd("bad"), radvd=True)
    assert world.control.told == []


@pytest.mark.parametrize("torn", [b"", b"\xff\xfe"])
async def test_a_last_good_text_of_a_disk_that_failed_is_not_put_back(world: World, torn: bytes) -> None:
    await world.apply(radvd("good 1"), radvd=True)
    await world.daemons.prove()
    (world.directory / "good/radvd.conf").write_bytes(torn)
    await world.apply(radvd("good 2, deadly"), radvd=True)
    world.control.up.clear()
    with pytest.raises(DaemonError, match=r"radvd did not stay up$"):
        await world.daemons.prove()
    assert world.text("radvd.conf") == "good 2, deadly"
