"""What the prober tells, and when: verdicts are put into its rounds by hand, nothing is sent."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from agent.desired.probe import FamilyProbes, Probes, Rounds, Target
from agent.drivers.probe import Prober
from agent.events import Event, HealthChanged
from agent.health import Track
from agent.model import Family, FamilyHealth, UplinkHealth

TARGETS = {4: "203.0.113.7", 6: "2001:db8:f::7"}
SOURCES = {4: "192.0.2.2", 6: "2001:db8:a::2"}
NOW = 50.0


def family(which: Family, **change: object) -> FamilyProbes:
    target = Target("echo", ip_address(TARGETS[which]))
    made = FamilyProbes(which, ip_address(SOURCES[which]), (target,), Rounds())
    return replace(made, **change)  # type: ignore[arg-type]


def probes(*families: FamilyProbes, index: int = 2) -> Probes:
    return Probes("wan", index, families)


class Told:
    """A prober, and what it told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.prober = Prober(lambda: NOW, _emit=self.events.append)

    @property
    def last(self) -> UplinkHealth | None:
        event = self.events[-1]
        assert isinstance(event, HealthChanged)
        return event.health

    def verdict(self, which: Family, *, up: bool, degraded: bool = False, since: float = 7.0) -> None:
        rounds = self.prober._running[which].rounds
        rounds.track = Track(up=up, since=since, degraded=degraded)
        rounds.on_round(rounds.track)


@pytest.fixture
def told() -> Told:
    return Told()


def test_at_the_start_nothing_is_told_until_every_family_has_a_verdict(told: Told) -> None:
    told.prober.apply(probes(family(4), family(6)))
    told.verdict(4, up=True)
    assert told.events == []
    told.verdict(6, up=False)
    up, down = FamilyHealth(up=True, since=7.0), FamilyHealth(up=False, since=7.0)
    assert told.last == UplinkHealth(up, down, NOW + 30)


def test_a_start_without_anything_to_probe_is_told_at_once_so_that_what_comes_is_verified_first(told: Told) -> None:
    told.prober.apply(None)
    assert told.last == UplinkHealth(None, None, NOW + 30)
    told.prober.apply(probes(family(4)))
    assert told.last == UplinkHealth(FamilyHealth(up=False, since=NOW), None, NOW + 30)
    told.verdict(4, up=True)
    assert told.last == UplinkHealth(FamilyHealth(up=True, since=7.0), None, NOW + 30)


def test_only_a_change_is_told(told: Told) -> None:
    told.prober.apply(probes(family(4)))
    for degraded, count in ((False, 1), (False, 1), (True, 2), (False, 3)):
        told.verdict(4, up=True, degraded=degraded)
        assert len(told.events) == count
    told.prober.apply(probes(family(4)))
    assert len(told.events) == 3


def test_a_verdict_is_valid_for_three_rounds_at_least(told: Told) -> None:
    told.prober.apply(probes(family(4, rounds=Rounds(interval=20.0, timeout=1.0))))
    told.verdict(4, up=True)
    assert told.last is not None
    assert told.last.valid_until == NOW + 60


def test_a_family_that_goes_is_forgotten_and_verified_when_it_returns(told: Told) -> None:
    told.prober.apply(probes(family(4), family(6)))
    told.verdict(4, up=True)
    told.verdict(6, up=True)
    told.prober.apply(probes(family(6)))
    assert told.last == UplinkHealth(None, FamilyHealth(up=True, since=7.0), NOW + 30)
    told.prober.apply(probes(family(4), family(6)))
    assert told.last is not None
    assert told.last.ipv4 == FamilyHealth(up=False, since=NOW)


@pytest.mark.parametrize("change", [{"source": ip_address("192.0.2.3")}, {"rounds": Rounds(interval=0.5)}])
def test_another_source_or_pace_changes_no_verdict(told: Told, change: dict[str, object]) -> None:
    told.prober.apply(probes(family(4)))
    told.verdict(4, up=True)
    before = told.prober._running[4].rounds
    told.prober.apply(probes(family(4, **change)))
    after = told.prober._running[4].rounds
    assert after is not before
    assert (after.track.up, after.track.since, len(told.events)) == (True, 7.0, 1)


def test_a_device_of_the_same_name_is_asked_anew(told: Told) -> None:
    told.prober.apply(probes(family(4)))
    before = told.prober._running[4].rounds
    told.prober.apply(probes(family(4), index=3))
    assert told.prober._running[4].rounds is not before


def test_a_lost_next_hop_is_a_failure_at_once_and_once(told: Told) -> None:
    told.prober.apply(probes(family(4)))
    told.verdict(4, up=True)
    told.prober.apply(probes(family(4, next_hop="lost")))
    assert told.last == UplinkHealth(FamilyHealth(up=False, since=NOW), None, NOW + 30)
    told.verdict(4, up=True)
    told.prober.apply(probes(family(4, next_hop="lost")))
    assert told.last == UplinkHealth(FamilyHealth(up=True, since=7.0), None, NOW + 30)


def test_what_was_down_in_an_earlier_life_is_told_to_be_down_until_it_recovers(told: Told) -> None:
    told.prober.apply(probes(family(4, was_down=True), family(6)))
    assert told.events == []
    told.verdict(6, up=True)
    assert told.last == UplinkHealth(FamilyHealth(up=False, since=NOW), FamilyHealth(up=True, since=7.0), NOW + 30)
    before = told.prober._running[4].rounds
    assert before.track.needed == Rounds().recover_after
    told.prober.apply(probes(family(4), family(6)))
    assert told.prober._running[4].rounds is before, "the rounds go on"
