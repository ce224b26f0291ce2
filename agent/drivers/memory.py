"""What must survive a restart, as JSON files below the state directory, each written whole or not at all.

`npt.json`, `marks.json`, `choice.json` and `deprecated.json` hold `Memory`; `peers.json` the last facts of other nodes,
for a firewall that starts without its broker. A file that cannot be read is put aside as `<file>.broken` and reported:
it never stops a start. Deadlines are CLOCK_BOOTTIME: they are stored with the boot's id; after a reboot what remained
then counts from now.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from ipaddress import IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

import structlog

from agent import wire
from agent.files import write_whole
from agent.model import Fact, Held, Memory, Peer, Selection, Standing, Wish, WishKind

MARK_LIMIT = 250
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = structlog.get_logger(__name__)


class MemoryStore:
    """The state directory."""

    def __init__(self, directory: Path, site: str) -> None:
        self._directory = directory
        self._site = site
        self._boot = BOOT_ID.read_text(encoding="ascii").strip()

    def load(self) -> Memory:
        """What was kept, or what is left of it."""
        return Memory(
            marks=self._numbers("marks.json", 1, MARK_LIMIT),
            npt=self._numbers("npt.json", 0, 2**64 - 1),
            held=self._held(),
            **self._choice(),
        )

    def save(self, memory: Memory) -> None:
        """Keep it. Raises OSError."""
        self._write("marks.json", dict(sorted(memory.marks.items())))
        self._write("npt.json", dict(sorted(memory.npt.items())))
        document: dict[str, object] = {
            "standings": {key: asdict(standing) for key, standing in sorted(memory.standings.items())},
            "selections": {key: asdict(selection) for key, selection in sorted(memory.selections.items())},
            "wishes": {key: asdict(wish) for key, wish in sorted(memory.wishes.items())},
        }
        if any(document.values()) or (self._directory / "choice.json").exists():
            self._write("choice.json", {"boot": self._boot, **document})
        self._write_held(memory.held)

    def save_peers(self, peers: Mapping[str, Peer], now: float) -> None:
        """Keep what other nodes said. Raises OSError."""
        facts = []
        for node, peer in sorted(peers.items()):
            for topic, fact in _facts(peer):
                payload, expiry = wire.encode(fact, topic, now)
                facts.append({"node": node, "topic": topic, "payload": payload.decode(), "expiry": expiry})
        self._write("peers.json", {"boot": self._boot, "at": now, "facts": facts})

    def load_peers(self, now: float) -> tuple[wire.Received, ...]:
        """What other nodes had said, in the form in which the bus would tell it."""
        document = self._read("peers.json")
        if not isinstance(document, dict):
            return ()
        received = []
        try:
            at = float(document["at"]) if document["boot"] == self._boot else now
            for entry in document["facts"]:
                topic = f"backstage/1/{self._site}/{entry['node']}/{entry['topic']}"
                received.append(wire.decode(self._site, topic, entry["payload"].encode(), entry["expiry"], at))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, wire.WireError) as error:
            self._put_aside("peers.json", str(error))
            return ()
        return tuple(received)

    def _choice(self) -> _Choice:
        """How uplinks fared and what was wished. After a reboot the wishes alone count, as of then."""
        document = self._read("choice.json")
        if document is None:
            return {}
        try:
            return _choice(document, same_boot=document["boot"] == self._boot)  # type: ignore[index]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            self._put_aside("choice.json", f"not what was written: {error!r}")
            return {}

    def _held(self) -> tuple[Held, ...]:
        """Global prefixes that hosts may have. After a reboot what was left then counts from now: rather too long."""
        document = self._read("deprecated.json")
        if document is None:
            return ()
        try:
            return _held(document, None if document["boot"] == self._boot else boottime())  # type: ignore[index]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            self._put_aside("deprecated.json", f"not what was written: {error!r}")
            return ()

    def _write_held(self, held: tuple[Held, ...]) -> None:
        """Only when it is another: what remains changes all the time, and is as of the first writing."""
        path = self._directory / "deprecated.json"
        if held == (self._held() if path.exists() else ()):
            return
        now = boottime()
        entries = [
            {
                "network": one.network,
                "prefix": str(one.prefix),
                "uplink": one.uplink,
                "until": one.until,
                "remaining": None if one.until is None else max(one.until - now, 0.0),
            }
            for one in held
        ]
        self._write("deprecated.json", {"boot": self._boot, "held": entries})

    def _numbers(self, name: str, least: int, most: int) -> Mapping[str, int]:
        document = self._read(name)
        if document is None:
            return MappingProxyType({})
        if isinstance(document, dict) and all(type(v) is int and least <= v <= most for v in document.values()):
            return MappingProxyType(document)
        self._put_aside(name, f"not a table of numbers from {least} to {most}")
        return MappingProxyType({})

    def _read(self, name: str) -> object:
        try:
            return json.loads((self._directory / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._put_aside(name, str(error))
            return None

    def _put_aside(self, name: str, error: str) -> None:
        log.error("state file broken, put aside", file=name, error=error[:200])
        path = self._directory / name
        try:
            path.replace(path.with_name(name + ".broken"))
        except OSError as problem:
            log.warning("cannot put it aside", file=name, error=str(problem))

    def _write(self, name: str, document: object) -> None:
        text = json.dumps(document, indent=1) + "\n"
        path = self._directory / name
        try:
            if path.read_text(encoding="utf-8") == text:
                return
        except (OSError, UnicodeError):
            pass  # made below
        write_whole(path, text)


class _Choice(TypedDict, total=False):
    standings: Mapping[str, Standing]
    selections: Mapping[str, Selection]
    wishes: Mapping[str, Wish]


def _choice(document: Any, *, same_boot: bool) -> _Choice:
    """The parts of `Memory` in `choice.json`. Raises where it is not as it was written."""
    wishes = {
        name: Wish(_wish_kind(w["kind"]), float(w["at"]) if same_boot else 0.0)
        for name, w in document["wishes"].items()
    }
    if not same_boot:
        return {"wishes": MappingProxyType(wishes)}
    standings = {
        key: Standing(bool(s["well"]), float(s["since"]), int(s["flaps"]), bool(s["away"]))
        for key, s in document["standings"].items()
    }
    selections = {
        key: Selection(_names(s["uplinks"]), float(s["since"]), _names(s["left"]))
        for key, s in document["selections"].items()
    }
    return {
        "standings": MappingProxyType(standings),
        "selections": MappingProxyType(selections),
        "wishes": MappingProxyType(wishes),
    }


def boottime() -> float:
    """Seconds on CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _held(document: Any, now: float | None) -> tuple[Held, ...]:
    """The entries of `deprecated.json`; `now` where they are of an earlier boot. Raises where they are others."""
    found = []
    for entry in document["held"]:
        until, left = entry["until"], entry["remaining"]
        if until is not None:
            until = float(until) if now is None else now + float(left)
        found.append(Held(str(entry["network"]), IPv6Network(entry["prefix"]), str(entry["uplink"]), until))
    return tuple(found)


def _wish_kind(value: object) -> WishKind:
    match value:
        case "drain" | "enable" | "prefer":
            return value
    raise ValueError(f"no such wish: {value!r}")


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("not a list of names")
    return tuple(value)


def _facts(peer: Peer) -> Iterator[tuple[str, Fact]]:
    """The facts a restart needs: the node's own state and description come anew."""
    if peer.link is not None:
        yield "uplink/link", peer.link
    if peer.ipv4 is not None:
        yield "uplink/ipv4", peer.ipv4
    if peer.ipv6 is not None:
        yield "uplink/ipv6", peer.ipv6
    if peer.containers is not None:
        yield "containers", peer.containers
    for length, delegation in sorted(peer.delegations.items()):
        yield f"uplink/prefix/{length}", delegation
