from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from agent.desired.lists import ListSource
from agent.drivers import lists as driver
from agent.drivers.lists import Lists
from agent.events import ListsRead
from agent.model import IPAddress, ListContent


@dataclass
class Heard:
    """What the driver said last, and a way to wait for what it shall say."""

    content: dict[str, ListContent] = field(default_factory=dict)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, event: ListsRead) -> None:
        self.content = dict(event.lists)
        self.told.set()

    async def until(self, wanted: Callable[[dict[str, ListContent]], bool]) -> None:
        async with asyncio.timeout(20):
            while not wanted(self.content):
                self.told.clear()
                await self.told.wait()


@contextlib.asynccontextmanager
async def following(lists: Lists, heard: Heard) -> AsyncIterator[None]:
    """The driver runs, and has ended afterwards."""
    running = asyncio.create_task(lists.run(heard.emit))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RETRY", 0.01)


async def nobody(name: str) -> tuple[IPAddress, ...]:
    raise OSError(-2, f"Name or service not known: {name}")


def texts(content: ListContent) -> list[str]:
    return [str(network) for network in content.networks]


async def test_a_file_is_read_and_read_again(tmp_path: Path) -> None:
    path, heard = tmp_path / "blocked", Heard()
    path.write_text("# bad people\n192.0.2.1 # one\n\n198.51.100.0/25\n198.51.100.128/25\n2001:db8::/32\n")
    lists = Lists(tmp_path / "lists.json", nobody)
    lists.configure((ListSource("blocked", file=str(path), refresh=0.01),))
    async with following(lists, heard):
        await heard.until(lambda found: "blocked" in found and bool(found["blocked"].networks))
        assert texts(heard.content["blocked"]) == ["192.0.2.1/32", "198.51.100.0/24", "2001:db8::/32"]
        path.write_text("203.0.113.9\n")
        await heard.until(lambda found: texts(found["blocked"]) == ["203.0.113.9/32"])


@pytest.mark.parametrize(
    ("spoil", "error", "hint"),
    [
        (lambda path: path.unlink(), "cannot be read: no such file", "put the file back"),
        (lambda path: path.write_text("\n# nothing\n"), "is empty", "write addresses into it"),
        (
            lambda path: path.write_text("192.0.2.2\nfoo\n"),
            ":2: `foo` is not an address",
            "one address or prefix a line",
        ),
        (
            lambda path: path.write_text("192.0.2.2\nfe80::1%eth0\n"),
            ":2: `fe80::1%eth0` names a device",
            "without `%`",
        ),
        (lambda path: path.write_text("192.0.2.2\n" * 1_000_000), "has more than 200000 lines", "make it shorter"),
        (lambda path: os.truncate(path, 1 << 40), "blocked has more than 16 MB", "make it shorter"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not an address", "one address or prefix a line"),
    ],
)
async def test_what_was_last_good_stays(tmp_path: Path, spoil: Callable[[Path], object], error: str, hint: str) -> None:
    path, heard = tmp_path / "blocked", Heard()
    path.write_text("192.0.2.1\n")
    lists = Lists(tmp_path / "lists.json", nobody)
    lists.configure((ListSource("blocked", file=str(path), refresh=0.01),))
    async with following(lists, heard):
        await heard.until(lambda found: "blocked" in found and bool(found["blocked"].networks))
        spoil(path)
        await heard.until(lambda found: bool(found["blocked"].error))
        assert error in heard.content["blocked"].error
        assert hint in heard.content["blocked"].hint
        assert texts(heard.content["blocked"]) == ["192.0.2.1/32"]
        path.write_text("192.0.2.3\n")
        await heard.until(lambda found: not found["blocked"].error)
        assert texts(heard.content["blocked"]) == ["192.0.2.3/32"]


async def test_a_name_that_no_longer_resolves_keeps_its_addresses_and_the_others_move_on(tmp_path: Path) -> None:
    known = {"a.example": "192.0.2.1", "b.example": "2001:db8::1"}

    async def resolver(name: str) -> tuple[IPAddress, ...]:
        if name not in known:
            raise OSError(-2, "Name or service not known")
        return (ip_address(known[name]),)

    heard = Heard()
    lists = Lists(tmp_path / "lists.json", resolver)
    lists.configure((ListSource("l", names=("a.example", "b.example"), refresh=0.01),))
    async with following(lists, heard):
        await heard.until(lambda found: "l" in found and len(found["l"].networks) == 2)
        del known["a.example"]
        known["b.example"] = "2001:db8::2"
        await heard.until(lambda found: texts(found["l"]) == ["192.0.2.1/32", "2001:db8::2/128"])
        assert "a.example does not resolve: Name or service not known" in heard.content["l"].error
    later = Lists(tmp_path / "lists.json", nobody)  # a restart without DNS
    later.configure((ListSource("l", names=("a.example", "b.example")),))
    assert texts(later.last_good().lists["l"]) == ["192.0.2.1/32", "2001:db8::2/128"]


async def test_a_list_whose_new_file_cannot_be_read_keeps_what_it_had(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("192.0.2.1\n")
    heard = Heard()
    lists = Lists(tmp_path / "lists.json", nobody)
    lists.configure((ListSource("blocked", file=str(tmp_path / "one"), refresh=60),))
    async with following(lists, heard):
        await heard.until(lambda found: "blocked" in found and bool(found["blocked"].networks))
        lists.configure((ListSource("blocked", file=str(tmp_path / "two"), refresh=0.01),))
        await heard.until(lambda found: bool(found["blocked"].error))
        assert texts(heard.content["blocked"]) == ["192.0.2.1/32"]
        (tmp_path / "two").write_text("192.0.2.2\n")
        await heard.until(lambda found: texts(found["blocked"]) == ["192.0.2.2/32"])


async def test_lists_that_the_configuration_no_longer_has_are_gone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("192.0.2.1\n")
    heard = Heard()
    lists = Lists(tmp_path / "lists.json", nobody)
    both = tuple(ListSource(name, file=str(tmp_path / name), refresh=60) for name in ("one", "two"))
    lists.configure(both)
    async with following(lists, heard):
        await heard.until(lambda found: set(found) == {"one", "two"} and all(c.networks for c in found.values()))
        (tmp_path / "two").write_text("192.0.2.2\n")
        lists.configure(both[1:])
        await heard.until(lambda found: set(found) == {"two"} and texts(found["two"]) == ["192.0.2.2/32"])


@pytest.mark.parametrize("text", ['{"x": [1, "foo"]}', "", '{"x": ['])
def test_kept_lists_that_are_broken_are_read_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "lists.json").write_text(text)
    lists = Lists(tmp_path / "lists.json", nobody)
    lists.configure((ListSource("l", file="x"),))
    assert lists.last_good().lists["l"] == ListContent()


async def test_localhost_resolves_by_the_system() -> None:
    assert ip_network("127.0.0.1") in [ip_network(a) for a in await driver.resolve("localhost")]
    with pytest.raises(OSError, match=r"."):
        await driver.resolve("no-such-name.invalid")


async def test_a_dead_dns_server_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More look-ups hang than the loop has threads: what ends connections uses those."""
    asked, answered = threading.Semaphore(0), threading.Event()

    def hangs(*_: object, **__: object) -> list[object]:
        asked.release()
        answered.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    heard, lists = Heard(), Lists(tmp_path / "lists.json")
    lists.configure(tuple(ListSource(f"l{number}", names=("a.example",)) for number in range(64)))
    (tmp_path / "file").write_text("192.0.2.1\n")
    try:
        async with following(lists, heard):
            for _ in range(64):
                while not asked.acquire(blocking=False):
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                assert await asyncio.get_running_loop().run_in_executor(None, lambda: "done") == "done"
                lists.configure((ListSource("file", file=str(tmp_path / "file")),))
                await heard.until(lambda found: "file" in found and texts(found["file"]) == ["192.0.2.1/32"])
    finally:
        answered.set()


async def test_a_name_that_is_not_answered_in_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(60))
    monkeypatch.setattr(driver, "PATIENCE", 0.01)
    heard, lists = Heard(), Lists(tmp_path / "lists.json")
    lists.configure((ListSource("l", names=("a.example",)),))
    try:
        async with following(lists, heard):
            await heard.until(lambda found: "l" in found)
    finally:
        answered.set()
    assert "a.example does not resolve: no answer" in heard.content["l"].error
