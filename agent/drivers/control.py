"""The agent's unix socket: one JSON document a line asks, one answers. For `routerctl` and dhcpcd's hook."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

# A configuration of thousands of rules travels in one line.
REQUEST_LIMIT = 4 * 1024 * 1024
TIMEOUT = 5.0

Handler = Callable[[dict[str, object]], Awaitable[dict[str, object]]]


log = structlog.get_logger(__name__)


class ControlError(Exception):
    """The agent cannot be asked; the text says why."""


async def serve(path: Path, handler: Handler) -> None:
    """Answer for ever. The socket is the owner's alone (0600)."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), TIMEOUT)
            request = json.loads(line)
            known = isinstance(request, dict)
            reply = await handler(request) if known else {"error": "request not understood: not a JSON object"}
        except (TimeoutError, ValueError) as error:
            reply = {"error": f"request not understood: {error}"}
        except Exception as error:
            log.exception("command failed")
            reply = {"error": f"the agent failed at it: {type(error).__name__}; its log says more"}
        try:
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass  # who asked has gone

    _make_room(path)
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(answer, path, limit=REQUEST_LIMIT)
    finally:
        os.umask(before)
    try:
        await server.serve_forever()
    finally:
        server.close()  # and no waiting for who is still connected, as `async with` does from Python 3.12 on


def _make_room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


async def ask(path: Path, request: dict[str, object], wait: float = TIMEOUT) -> dict[str, object]:
    """The agent's answer. `wait` in seconds. Raises ControlError."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(path, limit=2**24), wait)
    except FileNotFoundError:
        raise ControlError(f"no agent here: {path} does not exist") from None
    except OSError as error:
        raise ControlError(f"the agent does not answer on {path}: {error.strerror}") from None
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), wait)
        reply = json.loads(line)
    except (OSError, ValueError) as error:
        raise ControlError(f"no answer from the agent on {path}: {error}") from None
    finally:
        writer.close()
    if not isinstance(reply, dict):
        raise ControlError("the answer is not a JSON object")
    return reply
