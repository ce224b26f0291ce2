"""The engine is watched over its socket: whatever answers there, the loop learns what is so, or why it is not known."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agent.config import ConfigError
from agent.docker_host import engine_socket
from agent.drivers.docker import EngineWatcher, http
from agent.events import EngineSeen, Event
from agent.model import Engine
from tests.lab.recorded_engine import RecordedEngine


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[RecordedEngine]:
    engine = RecordedEngine(tmp_path / "docker.sock")
    yield engine
    engine.stop()


@contextlib.asynccontextmanager
async def watched(path: Path) -> AsyncIterator[list[Engine]]:
    seen: list[Engine] = []

    def emit(event: Event) -> None:
        assert isinstance(event, EngineSeen)
        seen.append(event.engine)

    task = asyncio.create_task(EngineWatcher(path).run(emit))
    try:
        yield seen
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def names(seen: list[Engine]) -> list[str]:
    return [container.name for container in seen[-1].containers] if seen else []


async def test_it_follows(recorded: RecordedEngine) -> None:
    async with watched(recorded.path) as seen:
        await until(lambda: seen)
        assert names(seen) == []
        for step, wanted in (("web", ["web"]), ("db", ["db", "web"]), ("web killed", ["db", "host_s.own", "plain"])):
            recorded.step(step)
            await until(lambda: names(seen) == wanted)  # noqa: B023
        inspected = [line for line in recorded.asked if "/containers/json" not in line and "/containers/" in line]
        assert len(inspected) == 3, "each labelled container once"
        assert all(line.startswith("GET ") for line in recorded.asked), "it only reads"


async def test_nothing_new_is_no_event(recorded: RecordedEngine) -> None:
    async with watched(recorded.path) as seen:
        await until(lambda: seen)
        for _ in range(5):
            looks = len(recorded.asked)
            recorded.say(b"{}\n")
            await until(lambda: len(recorded.asked) > looks + 1)  # noqa: B023
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.0 403 Forbidden\r\n\r\n", "the engine refuses /containers/json: 403 Forbidden"),
        (b"HTTP/1.0 200 OK\r\n\r\n[{", "not JSON"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000, "not JSON"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.0", "is no container engine"),
        (b"x" * 200_000, "is no container engine"),
        (b"", "is no container engine"),
    ],
)
async def test_what_is_no_answer_is_said(recorded: RecordedEngine, answer: bytes, message: str) -> None:
    recorded.step("web")
    async with watched(recorded.path) as seen:
        await until(lambda: names(seen) == ["web"])
        recorded.answers["/containers/json"] = answer
        recorded.say(b"{}\n")
        await until(lambda: seen[-1].error)
        assert message in seen[-1].error
        assert names(seen) == ["web"], "what was known stays known"
        recorded.step("db")
        await until(lambda: not seen[-1].error and names(seen) == ["db", "web"])


async def test_an_answer_without_an_end_is_too_long(recorded: RecordedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1 << 20)
    recorded.answers["/networks"] = b"HTTP/1.0 200 OK\r\n\r\n" + b" " * (2 << 20)
    async with watched(recorded.path) as seen:
        await until(lambda: seen)
        assert "longer than 1 MiB" in seen[-1].error


async def test_no_engine_is_said_once_and_one_that_comes_is_found(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    async with watched(path) as seen:
        await until(lambda: seen)
        assert "does not exist" in seen[-1].error
        assert "Docker up" in seen[-1].hint
        engine = RecordedEngine(path)
        try:
            await until(lambda: not seen[-1].error)
            assert len(seen) == 2
            engine.stop()
            await until(lambda: seen[-1].error)
        finally:
            engine.stop()


async def test_an_engine_that_hangs_is_one_that_is_gone(
    recorded: RecordedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.step("web")
    async with watched(recorded.path) as seen:
        await until(lambda: names(seen) == ["web"])
        monkeypatch.setattr(http, "TIMEOUT", 0.2)
        recorded.mute = True
        recorded.say(b"{}\n")
        await until(lambda: "does not answer" in seen[-1].error)
        monkeypatch.setattr(http, "TIMEOUT", 5.0)
        recorded.mute = False
        await until(lambda: not seen[-1].error)
        assert names(seen) == ["web"]


@pytest.mark.parametrize(
    ("told", "path"),
    [({}, "/var/run/docker.sock"), ({"DOCKER_HOST": "unix:///run/podman.sock"}, "/run/podman.sock")],
)
def test_where_the_engine_is(told: dict[str, str], path: str) -> None:
    assert engine_socket(told) == Path(path)


def test_an_engine_elsewhere_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no unix:// socket"):
        engine_socket({"DOCKER_HOST": "tcp://10.0.0.1:2375"})


async def test_a_stream_that_somebody_cuts_at_once_is_opened_ever_more_rarely(tmp_path: Path) -> None:
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        asked = await reader.readuntil(b"\r\n\r\n")
        stream = asked.startswith(b"GET /events")
        opened += stream
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + (b"" if stream else b"[]"))
        writer.close()

    began = asyncio.get_running_loop().time()
    async with await asyncio.start_unix_server(serve, tmp_path / "proxy.sock"), watched(tmp_path / "proxy.sock"):
        await until(lambda: opened == 4)
        assert asyncio.get_running_loop().time() - began >= 0.2 + 0.4 + 0.8, "the waits double"
