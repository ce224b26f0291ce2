"""Probes an ingress's uplink, as the plan says, and tells the verdicts: when one changes, and every ten seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from agent.desired.probe import FamilyProbes, Probes
from agent.drivers.probe.family import FamilyRounds
from agent.events import Event, HealthChanged
from agent.health import Track, failed, still_down, unverified
from agent.model import Family, UplinkHealth

REPORT = 10.0
_VALID = 30.0
_VALID_ROUNDS = 3
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Running:
    rounds: FamilyRounds
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Prober:
    """`apply` says what to probe, at any time; `run` does it for ever. `now` is CLOCK_BOOTTIME.

    Nothing is told until every family of the first `apply` has a verdict, so that a restart of the agent looks to the
    others like an agent that says nothing new. A family that appears later is down until its first good round.
    """

    now: Callable[[], float]
    _wanted: Probes | None = None
    _running: dict[Family, _Running] = field(default_factory=dict)
    _group: asyncio.TaskGroup | None = None
    _emit: Callable[[Event], None] = lambda _: None
    _applied: bool = False
    _began: bool = False
    _told: Mapping[Family, tuple[bool, bool]] | None = None

    def apply(self, probes: Probes | None) -> None:
        """Probe this from now on, None for nothing."""
        before, self._wanted = self._wanted, probes
        families = probes.families if probes is not None else ()
        for family in self._running.keys() - {one.family for one in families}:
            self._stop(family)
        for one in families:
            self._follow(one, before)
        self._applied = True
        self._tell()

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Probe for ever; `emit` is called in the loop."""
        self._emit = emit
        async with asyncio.TaskGroup() as group:
            self._group = group
            for running in self._running.values():
                self._start(running)
            self._tell()
            while True:
                await asyncio.sleep(REPORT)
                self._tell(again=True)

    def _follow(self, one: FamilyProbes, before: Probes | None) -> None:
        probes = self._wanted
        if probes is None:
            return
        running = self._running.get(one.family)
        if running is None:
            track = self._first(one)
        else:
            known, track = running.rounds.probes, running.rounds.track
            if one.next_hop == "lost" != known.next_hop:
                track = running.rounds.track = failed(track, one.rounds, self.now(), lost=True)
            same = before is not None and (before.device, before.index) == (probes.device, probes.index)
            if same and _asks(known) == _asks(one):
                running.rounds.probes = one
                return
            if known.targets != one.targets:
                track = Track(track.up, track.since, needed=track.needed, answered=track.answered)
            self._stop(one.family)
        rounds = FamilyRounds(probes, one, track, self.now, self._after_round)
        running = self._running[one.family] = _Running(rounds)
        self._start(running)

    def _first(self, one: FamilyProbes) -> Track:
        """What is known of a family before its first round."""
        if self._applied:
            return unverified(self.now())
        return still_down(one.rounds, self.now()) if one.was_down else Track()

    def _start(self, running: _Running) -> None:
        if self._group is not None:
            name = f"probes of IPv{running.rounds.probes.family}"
            running.task = self._group.create_task(running.rounds.run(), name=name)

    def _stop(self, family: Family) -> None:
        running = self._running.pop(family)
        if running.task is not None:
            running.task.cancel()

    def _after_round(self, _: Track) -> None:
        self._tell()

    def _tell(self, *, again: bool = False) -> None:
        """Tell the verdicts, where one is new or `again`."""
        found = {family: running.rounds.track.health() for family, running in self._running.items()}
        self._began = self._began or (self._applied and None not in found.values())
        verdicts = {family: (health.up, health.degraded) for family, health in found.items() if health is not None}
        if not self._began or (verdicts == self._told and not again):
            return
        if verdicts != self._told:
            log.info("uplink probed", **{f"ipv{family}": _words(*verdict) for family, verdict in verdicts.items()})
        self._told = verdicts
        longest = max((running.rounds.probes.rounds.interval for running in self._running.values()), default=0.0)
        valid = self.now() + max(_VALID, _VALID_ROUNDS * longest)
        self._emit(HealthChanged(UplinkHealth(found.get(4), found.get(6), valid)))


def _words(up: bool, degraded: bool) -> str:
    return ("degraded" if degraded else "up") if up else "down"


def _asks(probes: FamilyProbes) -> tuple[object, ...]:
    """What needs other sockets or other rounds when it changes."""
    return (probes.source, probes.targets, probes.rounds, probes.dns)
