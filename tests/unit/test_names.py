"""The keeper of names: what is written down of names outside never ends it."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from agent.desired.names import Names, Record, ZoneTarget
from agent.drivers.zones import Zones
from agent.names import NameKeeper


async def test_a_file_of_published_names_that_is_no_text_is_written_anew(tmp_path: Path) -> None:
    async def nothing() -> None:
        pass

    path = tmp_path / "public.json"
    path.write_bytes(b"\xff\xfe")
    keeper = NameKeeper(Zones(tmp_path / "named"), path, lambda: 0.0, nothing, nothing)
    record = Record("www.example.org", "AAAA", "2001:db8::1")
    keeper.apply(
        Names(public=ZoneTarget("example.org", IPv4Address("127.0.0.1"), 1, str(tmp_path / "no"), (record,), 60))
    )
    assert not await keeper._keep_public(), "it has no key"
    assert "www.example.org" in path.read_text()
