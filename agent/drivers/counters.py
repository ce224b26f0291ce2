"""How often each rule matched: the named counters of our tables, read when somebody asks."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

TIMEOUT = 10.0


class Count(NamedTuple):
    """What a rule matched (where it decides about connections: their first packets), and the bytes of these packets."""

    packets: int
    bytes: int


class CountersError(Exception):
    """The counters cannot be read; the text says why."""


async def read_counters(table: str = "inet router") -> dict[str, Count]:
    """Counter → count, of a table (family and name). Raises CountersError."""
    process = await asyncio.create_subprocess_exec(
        "nft",
        "-j",
        f"list counters table {table}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT):
        output, error = await process.communicate()
    if process.returncode:
        raise CountersError(f"nft: {error.decode(errors='replace').strip()[:200]}")
    found = (item["counter"] for item in json.loads(output)["nftables"] if "counter" in item)
    return {counter["name"]: Count(counter["packets"], counter["bytes"]) for counter in found}
