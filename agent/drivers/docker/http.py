"""GET over the engine's unix socket, as HTTP/1.0: every answer ends with its connection, and none comes in chunks.

The Docker engine's API is six resources too few to bring an HTTP library into the container for it: three answers are
read, one stream is only listened to (https://docs.docker.com/reference/api/engine/). HTTP/1.0: RFC 1945 section 6.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

TIMEOUT = 5.0
"""Seconds for a whole answer; an engine that is busy needs some."""
MAX_BODY = 32 * 1024 * 1024
_MAX_HEAD = 64 * 1024
_OK = 200


class EngineError(Exception):
    """The engine does not answer, or not as it should. `hint` says how a person mends it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


async def get(socket: Path, path: str) -> Any:
    """The JSON value behind a path such as `/containers/json`.

    Raises:
        EngineError: there is no engine, it refuses, or its answer is broken, too long or too late.
    """
    try:
        async with asyncio.timeout(TIMEOUT), _opened(socket, path) as reader:
            body = bytearray()
            while block := await reader.read(1 << 16):
                body += block
                if len(body) > MAX_BODY:
                    raise EngineError(f"the engine's answer to {path} is longer than {MAX_BODY >> 20} MiB")
    except TimeoutError:
        raise EngineError(f"the engine does not answer {path} within {TIMEOUT:g} s", _HINT) from None
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise EngineError(f"the engine's answer to {path} is not JSON: it broke off", _HINT) from None


@contextlib.asynccontextmanager
async def listening(socket: Path, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """A stream that says something when something happens, and ends when the engine does. Raises EngineError."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(TIMEOUT):
                reader = await stack.enter_async_context(_opened(socket, path))
        except TimeoutError:
            raise EngineError(f"the engine does not answer {path} within {TIMEOUT:g} s", _HINT) from None
        yield reader


@contextlib.asynccontextmanager
async def _opened(socket: Path, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """The body of an answer, its head read. OSErrors become an EngineError, those of the caller too."""
    writer: asyncio.StreamWriter | None = None
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=_MAX_HEAD)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode("ascii"))
        head = await reader.readuntil(b"\r\n\r\n")
        _check(path, head)
        yield reader
    except FileNotFoundError:
        raise EngineError(f"no container engine: {socket} does not exist", _HINT) from None
    except PermissionError:
        raise EngineError(f"the container engine's {socket} may not be opened", _HINT_RIGHTS) from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise EngineError(f"what answers on {socket} is no container engine", _HINT) from None
    except OSError as error:
        raise EngineError(f"the container engine on {socket}: {error.strerror or error}", _HINT) from None
    finally:
        if writer is not None:
            writer.close()


def _check(path: str, head: bytes) -> None:
    words = head.split(b"\r\n", 1)[0].decode("ascii", "replace").split(" ", 2)
    status = words[1] if len(words) > 1 and words[0].startswith("HTTP/1.") else ""
    if not status.isdigit():
        raise EngineError("what answers on the engine's socket does not speak HTTP", _HINT)
    if int(status) != _OK:
        said = " ".join(words[1:])[:80]
        raise EngineError(f"the engine refuses {path}: {said}", _HINT_PROXY)


_HINT = "is Docker up, and its socket mounted into the agent's container? (docs/exposure.md)"
_HINT_RIGHTS = "run the agent as root or in the socket's group"
_HINT_PROXY = "a socket proxy must allow GET of /containers, /networks and /events"
