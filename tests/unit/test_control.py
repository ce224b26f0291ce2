"""The agent's socket: what is asked is answered, nonsense too; who cannot reach it is told why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.drivers.control import ControlError, ask, serve


@asynccontextmanager
async def server(path: Path) -> AsyncIterator[None]:
    async def handler(request: dict[str, object]) -> dict[str, object]:
        return {"asked": request["command"]}

    task = asyncio.create_task(serve(path, handler))
    while not path.exists():
        await asyncio.sleep(0)
    yield
    task.cancel()


async def test_a_request_is_answered_and_the_socket_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"
    async with server(path):
        assert await ask(path, {"command": "status"}) == {"asked": "status"}
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"\xff\n", b"\n", b"x" * 100_000 + b"\n"])
async def test_nonsense_is_answered_and_stops_nothing(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "agent.sock"
    async with server(path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        assert "not understood" in json.loads(await reader.readline())["error"]
        writer.close()
        assert await ask(path, {"command": "status"}) == {"asked": "status"}


async def test_a_socket_left_by_a_dead_agent_does_not_hinder_the_next(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    async with server(path):
        pass
    path.unlink(missing_ok=True)
    path.touch()
    task = asyncio.create_task(serve(path, lambda _: asyncio.sleep(0, {"ok": True})))
    while not path.is_socket():
        await asyncio.sleep(0)
    assert await ask(path, {}) == {"ok": True}
    task.cancel()


async def test_no_agent_is_said(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no agent here"):
        await ask(tmp_path / "agent.sock", {})


async def test_an_agent_that_hangs_is_said(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"

    end = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await end.wait()
        writer.close()

    silence = await asyncio.start_unix_server(silent, path)
    with pytest.raises(ControlError, match="no answer"):
        await ask(path, {}, wait=0.05)
    end.set()
    silence.close()


async def test_an_agent_that_ends_does_not_wait_for_who_is_connected(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    task = asyncio.create_task(serve(path, lambda _: asyncio.sleep(0, {"ok": True})))
    while not path.exists():
        await asyncio.sleep(0)
    _, writer = await asyncio.open_unix_connection(path)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1.0)
    writer.close()
