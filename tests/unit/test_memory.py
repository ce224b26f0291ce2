"""The state directory: what was kept comes back; a broken file is put aside and stops nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Network, ip_address
from pathlib import Path
from types import MappingProxyType

import pytest

from agent.drivers.memory import MemoryStore, boottime
from agent.model import Delegation, Held, Memory, Peer, Selection, Standing, UplinkIPv4, UplinkLink, Wish

MEMORY = Memory(
    MappingProxyType({"kpn": 1, "odido": 2}),
    MappingProxyType({"home": 16}),
    MappingProxyType({"kpn/4": Standing(well=False, since=12.5, flaps=3, away=True)}),
    MappingProxyType({"home/4": Selection(("odido",), 12.5, ("kpn",)), "home/6": Selection((), 1.0)}),
    MappingProxyType({"kpn": Wish("drain", 10.25)}),
)
PEERS = {
    "kpn": Peer(
        link=UplinkLink(carrier=True, mtu=1492, link_local=ip_address("fe80::2"), mac="02:00:00:00:00:02"),  # type: ignore[arg-type]
        ipv4=UplinkIPv4(IPv4Interface("192.0.2.2/24")),
        delegations=MappingProxyType({48: Delegation(IPv6Network("2001:db8::/48"), 1500.0, 2000.0)}),
    )
}


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    MemoryStore(tmp_path / "state", "home").save(MEMORY)
    assert MemoryStore(tmp_path / "state", "home").load() == MEMORY


def test_withdrawn_prefixes_count_down_over_a_reboot(tmp_path: Path) -> None:
    held = (
        Held("home", IPv6Network("2001:db8:a::/64"), "kpn"),
        Held("home", IPv6Network("2001:db8:b::/64"), "odido", boottime() + 500),
    )
    store, path = MemoryStore(tmp_path, "home"), tmp_path / "deprecated.json"
    store.save(Memory(held=held))
    assert MemoryStore(tmp_path, "home").load() == Memory(held=held)
    written = path.read_text()
    store.save(Memory(held=held))
    assert path.read_text() == written, "not every second, though less is left"
    path.write_text(json.dumps({**json.loads(written), "boot": "another"}))
    current, withdrawn = store.load().held
    assert current == held[0]
    assert withdrawn.until is not None
    assert 400 < withdrawn.until - boottime() <= 500
    store.save(Memory())
    assert store.load() == Memory()


@pytest.mark.parametrize("text", ["{", "[]", '{"held": [{}], "boot": 1}', '{"boot": 1, "held": [{"prefix": "x"}]}'])
def test_a_broken_list_of_withdrawn_prefixes_is_put_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "deprecated.json").write_text(text)
    assert MemoryStore(tmp_path, "home").load() == Memory()
    assert (tmp_path / "deprecated.json.broken").read_text() == text


def test_nothing_kept_is_no_error(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "home")
    assert store.load() == Memory()
    assert store.load_peers(0.0) == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"kpn": "x"}', '{"kpn": 0}', '{"kpn": 251}', '{"kpn": true}', "\x00"])
def test_a_broken_file_is_put_aside(tmp_path: Path, text: str) -> None:
    store = MemoryStore(tmp_path, "home")
    store.save(MEMORY)
    (tmp_path / "marks.json").write_text(text)
    assert store.load() == replace(MEMORY, marks={})
    assert (tmp_path / "marks.json.broken").read_text() == text
    assert not (tmp_path / "marks.json").exists()


def test_after_a_reboot_only_wishes_count_of_what_uplinks_did(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "home")
    store.save(MEMORY)
    document = json.loads((tmp_path / "choice.json").read_text())
    (tmp_path / "choice.json").write_text(json.dumps({**document, "boot": "another"}))
    assert store.load() == Memory(MEMORY.marks, MEMORY.npt, wishes=MappingProxyType({"kpn": Wish("drain", 0.0)}))


@pytest.mark.parametrize("text", ["[]", "{}", '{"boot": "x", "wishes": {"kpn": {"kind": "explode", "at": 1}}}'])
def test_a_broken_choice_is_put_aside(tmp_path: Path, text: str) -> None:
    store = MemoryStore(tmp_path, "home")
    store.save(MEMORY)
    (tmp_path / "choice.json").write_text(text)
    assert store.load() == Memory(MEMORY.marks, MEMORY.npt)
    assert (tmp_path / "choice.json.broken").read_text() == text


def test_deadlines_of_peers_hold_in_the_same_boot(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "home")
    store.save_peers(PEERS, 1000.0)
    received = {entry.topic: entry for entry in store.load_peers(1100.0)}
    assert set(received) == {"uplink/link", "uplink/ipv4", "uplink/prefix/48"}
    assert received["uplink/prefix/48"].fact == PEERS["kpn"].delegations[48]


def test_after_a_reboot_what_remained_counts(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "home")
    store.save_peers(PEERS, 1000.0)
    document = json.loads((tmp_path / "peers.json").read_text())
    (tmp_path / "peers.json").write_text(json.dumps({**document, "boot": "another"}))
    received = {entry.topic: entry.fact for entry in store.load_peers(5.0)}
    assert received["uplink/prefix/48"] == Delegation(IPv6Network("2001:db8::/48"), 505.0, 1005.0)


@pytest.mark.parametrize(
    "document", [{"boot": "x", "at": "y"}, {"boot": "x", "facts": [{}]}, {"boot": "x", "facts": 7}]
)
def test_broken_peers_are_put_aside(tmp_path: Path, document: object) -> None:
    store = MemoryStore(tmp_path, "home")
    (tmp_path / "peers.json").write_text(json.dumps(document))
    assert store.load_peers(0.0) == ()
    assert (tmp_path / "peers.json.broken").exists()


def test_a_file_spoilt_while_we_run_is_written_anew(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "home")
    store.save(MEMORY)
    for path in tmp_path.glob("*.json"):
        path.write_bytes(b"\xff\xfe")
    store.save(MEMORY)
    assert MemoryStore(tmp_path, "home").load() == MEMORY


def test_a_number_that_is_none_stops_no_start(tmp_path: Path) -> None:
    MemoryStore(tmp_path, "home").save(MEMORY)
    path = tmp_path / "choice.json"
    path.write_text(path.read_text().replace('"flaps": 3', '"flaps": Infinity'))
    assert not MemoryStore(tmp_path, "home").load().standings
    assert (tmp_path / "choice.json.broken").exists()
