"""Keeps names in zones: those of our own named, and those outside. Never in the way of the loop.

A server that does not answer, or refuses, is asked again with growing pauses; what is wrong is shown until it is not.
All that was ever published outside under this configuration is remembered, so that a name nobody wants any more goes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent.desired import Problem
from agent.desired.names import Names, Record, ZoneTarget
from agent.drivers.nsupdate import NsupdateError, Server
from agent.drivers.zones import Zones
from agent.files import write_whole

FIRST_WAIT = 0.25
LONGEST_WAIT = 60.0
# Looked at again although nothing changed: somebody else may have.
AGAIN = 300.0
# A daemon that was just started is not at fault yet.
PATIENCE = 10.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Kept:
    """How a zone is kept: since when it was right (CLOCK_BOOTTIME, None for never), or what is wrong."""

    zone: str
    since: float | None = None
    error: str = ""
    hint: str = ""
    failing_since: float | None = None
    shown: bool = False
    healed: bool = False


@dataclass(slots=True)
class NameKeeper:
    """Owns the zones of `agent.desired.names`. `reload`: tells named that a zone was made anew.

    `name_leases`: has Kea name its leases again, when the new zone is served.
    """

    zones: Zones
    published: Path
    now: Callable[[], float]
    reload: Callable[[], Awaitable[None]]
    name_leases: Callable[[], Awaitable[None]]
    kept: dict[str, Kept] = field(default_factory=dict)
    _names: Names = field(default_factory=Names)
    _local: asyncio.Event = field(default_factory=asyncio.Event)
    _public: asyncio.Event = field(default_factory=asyncio.Event)

    def prepare(self, names: Names) -> None:
        """Make the files that named needs before it starts. Raises OSError."""
        if names.local:
            self.zones.prepare(target.zone for target in names.local)

    def apply(self, names: Names, again: bool = False) -> None:
        """These are the names from now on. `again`: look at the zones even if nothing changed here."""
        if again or names.local != self._names.local:
            self._local.set()
        if again or names.public != self._names.public:
            self._public.set()
        if names.public is not None and names.public != self._names.public and names.public.zone in self.kept:
            self.kept[names.public.zone].since = None  # not yet what it shall be
        self._names = names
        wanted = {target.zone for target in self.targets()}
        self.kept = {zone: kept for zone, kept in self.kept.items() if zone in wanted}

    def targets(self) -> tuple[ZoneTarget, ...]:
        """All zones that are kept, those of our own named first."""
        return (*self._names.local, *((self._names.public,) if self._names.public is not None else ()))

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with zones, and broken files that were put aside."""
        found = [Problem(f"dns/{k.zone}", k.error, k.hint) for k in self.kept.values() if k.shown]
        for path in self.zones.broken():
            message = f"{path.name} could not be loaded and was put aside; the names are in a new one"
            found.append(Problem("dns", message, f"look at it, then delete {path}"))
        return tuple(found)

    def applied(self) -> dict[str, tuple[Record, ...]]:
        """Part of the status → the records that the zone outside has now; nothing while it is not as it shall be."""
        target = self._names.public
        kept = self.kept.get(target.zone) if target is not None else None
        right = target is not None and kept is not None and kept.since is not None and not kept.error
        return {f"dns.{target.zone}": target.records} if target is not None and right else {}

    async def run(self, changed: Callable[[], None]) -> None:
        """Keep the names for ever. `changed` is called when `problems` or `applied` has another answer."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(self._local, self._keep_local, changed))
            group.create_task(self._follow(self._public, self._keep_public, changed))

    async def _follow(
        self, event: asyncio.Event, keep: Callable[[], Awaitable[bool]], changed: Callable[[], None]
    ) -> None:
        wait = FIRST_WAIT
        while True:
            event.clear()
            before = self.problems(), self.applied()
            good = await keep()
            if (self.problems(), self.applied()) != before:
                changed()
            pause, wait = (AGAIN, FIRST_WAIT) if good else (wait, min(wait * 2, LONGEST_WAIT))
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), pause)
                wait = FIRST_WAIT

    async def _keep_local(self) -> bool:
        results = [await self._keep(target) for target in self._names.local]
        return all(results)

    async def _keep_public(self) -> bool:
        target = self._names.public
        if target is None:
            return True
        earlier = self._published(target)
        # Before the update: a name that was sent must be known even if we do not live to hear the answer.
        self._publish(target, earlier | {record.name for record in target.records})
        good = await self._keep(target, earlier)
        if good:
            self._publish(target, {record.name for record in target.records})
        return good

    async def _keep(self, target: ZoneTarget, earlier: set[str] | None = None) -> bool:
        kept = self.kept.setdefault(target.zone, Kept(target.zone))
        try:
            change = await Server(target).keep(earlier or ())
        except NsupdateError as error:
            await self._failed(kept, target, error)
            return False
        if change:
            log.info("zone updated", zone=target.zone, gone=len(change.gone), added=len(change.added))
        if kept.shown:
            log.info("zone works again", zone=target.zone)
        if kept.healed:
            await self.name_leases()
        # Another target may have come meanwhile: its turn is next.
        self.kept[target.zone] = Kept(target.zone, since=self.now() if target in self.targets() else None)
        return True

    async def _failed(self, kept: Kept, target: ZoneTarget, error: NsupdateError) -> None:
        kept.failing_since = self.now() if kept.failing_since is None else kept.failing_since
        healed = False
        if error.unloaded:
            try:
                healed = bool(await self.zones.heal(target.zone))
            except OSError as problem:
                why = f"{target.zone} cannot be made anew: {(problem.strerror or str(problem)).lower()}"
                error = NsupdateError(why, "make room where the state is kept (/var/lib/router)")
        if healed:
            kept.healed = True
            await self.reload()
        elif target.whole and not error.broken and self.now() - kept.failing_since < PATIENCE:
            return
        if (kept.error, kept.shown) != (str(error), True):
            log.warning("zone not kept, tried again", zone=target.zone, error=str(error), hint=error.hint)
        kept.error, kept.hint, kept.shown = str(error), error.hint, True

    def _published(self, target: ZoneTarget) -> set[str]:
        """Names that may be in the zone outside because of us."""
        try:
            document = json.loads(self.published.read_text(encoding="utf-8"))
            return {str(name) for name in document["names"]} if document["zone"] == target.zone else set()
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("published names not understood", file=str(self.published), error=str(error)[:200])
            return set()

    def _publish(self, target: ZoneTarget, names: set[str]) -> None:
        text = json.dumps({"zone": target.zone, "names": sorted(names)}, indent=1) + "\n"
        with suppress(OSError, UnicodeError):
            if self.published.read_text(encoding="utf-8") == text:
                return
        try:
            write_whole(self.published, text)
        except OSError as error:
            log.warning("published names not kept", file=str(self.published), error=error.strerror)
