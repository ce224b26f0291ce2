"""Kea's control socket: what a running server thinks of a configuration, in a millisecond, and a reload that answers.

One connection is one command, JSON both ways (Kea Administrator Reference Manual, "Using the Control Channel").
`config-test` tries a text without effect, but for what lies outside of it (the lease file, sockets). `config-reload`
answers once the server runs with its file; after a failure it does not run with the one before either (Kea's log:
DHCP4_CONFIG_UNRECOVERABLE_ERROR), so that it must be given a good one. Every reload closes and opens the server's
packet sockets, which Linux takes some 10 ms each for: nobody should wait for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from agent.model import IPAddress

TEST_TIMEOUT = 2.0
RELOAD_TIMEOUT = 20.0
_SUCCESS = 0


class KeaSocket:
    """Speaks to the servers by the paths of their sockets. Each answer: what is wrong, empty for nothing, or None."""

    async def test(self, path: str, text: str) -> str | None:
        """What the server says against a configuration; None where it does not answer."""
        try:
            arguments = json.loads(text)
        except ValueError as error:
            return str(error)
        return await _ask(path, {"command": "config-test", "arguments": arguments}, TEST_TIMEOUT)

    async def reload(self, path: str) -> str | None:
        """Have the server read its file, and say what it says against that; None where it does not answer."""
        return await _ask(path, {"command": "config-reload"}, RELOAD_TIMEOUT)

    async def name_again(self, path: str, version: int, addresses: Iterable[IPAddress]) -> int:
        """Have the server (of that IP version) tell D2 of these leases again; how many it did."""
        told = 0
        for address in addresses:
            command = {"command": f"lease{version}-resend-ddns", "arguments": {"ip-address": str(address)}}
            told += await _ask(path, command, TEST_TIMEOUT) == ""
        return told


async def _ask(path: str, command: dict[str, Any], seconds: float) -> str | None:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(json.dumps(command).encode())
                await writer.drain()
                answer = json.loads(await reader.read())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None
    if not isinstance(answer, dict) or "result" not in answer:
        return None
    return "" if answer["result"] == _SUCCESS else str(answer.get("text") or "it says no reason")
