"""The verdict on one family of an uplink, from rounds of questions. Pure: who asks and who keeps the time is elsewhere.

A round asks one target (in turn; as many as the quorum). When that is not answered within a third of the timeout all
targets are asked, and after another third once more: a lost packet costs nothing, and in the usual case a round is one
packet. It is good when at least `quorum` targets answered in its time. `fail_after` bad rounds in a row are a failure,
`recover_after` good ones in a row a recovery. Of a family of which nothing is known yet the first good round is enough,
and a failure takes as many bad ones as a late answer may need.
Loss and latency are measured per target, over the first question of a round only (the others are asked because the
first was lost), and the best target counts: one dead target is not a dead uplink, and not a bad one either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agent.desired.probe import NextHop, Rounds
from agent.model import FamilyHealth

ASKS = 3  # times in a round at most
WINDOW = 200  # questions per target; a minute of them, at the default pace
_MASK = (1 << WINDOW) - 1
SETTLED = 100  # questions before loss is judged
EASED = 0.75  # of a threshold: below it a degradation is over
# Bad rounds after which a next hop that never answered, and that the kernel neither finds nor gives up, is taken for
# one that answers nobody. At one a second the kernel has decided before: it trusts an address for 6 s at most, and
# verifies it within 4 s of the next packet (agent.plan.ingress_sysctl).
PATIENCE = 20
_GAIN = 1 / 8  # of the smoothed round-trip time (RFC 6298 section 2)


@dataclass(frozen=True, slots=True)
class Record:
    """What a target did: `lost` has a bit per question, the last one lowest; `rtt` is smoothed, in seconds."""

    asked: int = 0
    lost: int = 0
    rtt: float | None = None

    @property
    def loss(self) -> float:
        """The part of the questions in the window that got no answer, 0..1."""
        return self.lost.bit_count() / min(self.asked, WINDOW) if self.asked else 0.0

    def after(self, rtt: float | None) -> Record:
        """With one more question: answered after `rtt` seconds, or not (None)."""
        lost = (self.lost << 1 | (rtt is None)) & _MASK
        smoothed = self.rtt
        if rtt is not None:
            smoothed = rtt if smoothed is None else smoothed + _GAIN * (rtt - smoothed)
        return Record(min(self.asked + 1, WINDOW), lost, smoothed)


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of one family. `up` None: nothing yet. `since`: the moment of the verdict (CLOCK_BOOTTIME).

    `bad`, `good`: rounds in a row. `needed`: good rounds until it is up. `answered`: it has answered once.
    `lost`: the kernel gave the next hop up, and has not found it since.
    """

    up: bool | None = None
    since: float = 0.0
    bad: int = 0
    good: int = 0
    needed: int = 1
    answered: bool = False
    lost: bool = False
    degraded: bool = False
    records: Mapping[int, Record] = field(default_factory=lambda: MappingProxyType({}))

    def health(self) -> FamilyHealth | None:
        """The fact, None while nothing is known. Loss and time of the best target."""
        if self.up is None:
            return None
        loss, rtt = self.measured()
        return FamilyHealth(self.up, _round(loss, 3), _round(rtt, 5), self.degraded, self.since)

    def measured(self) -> tuple[float | None, float | None]:
        """Loss (0..1) and smoothed round-trip time (s) of the best target of each; None where nothing was asked."""
        asked = [record for record in self.records.values() if record.asked]
        rtts = [record.rtt for record in asked if record.rtt is not None]
        return min((record.loss for record in asked), default=None), min(rtts, default=None)


def to_ask(step: int, *, answered: int, turn: int, targets: int, rounds: Rounds) -> tuple[int, ...]:
    """Whom to ask at a `step` of a round, 0 to `ASKS` - 1: none where enough have `answered`.

    `turn`: what was asked first before this round; `targets`: how many there are.
    """
    if answered >= rounds.quorum:
        return ()
    first = tuple((turn + place) % targets for place in range(min(rounds.quorum, targets)))
    return first if step == 0 else tuple(range(targets))


def unverified(now: float) -> Track:
    """A family that appeared while we watched: down until its first good round, so that no traffic tries it out."""
    return Track(up=False, since=now)


def still_down(rounds: Rounds, now: float) -> Track:
    """A family that was down when an earlier life of the agent ended: nothing has recovered meanwhile."""
    return Track(up=False, since=now, needed=rounds.recover_after)


def after_round(track: Track, rounds: Rounds, *, answered: int, now: float, next_hop: NextHop = "unknown") -> Track:
    """After a round in which `answered` targets answered in time."""
    if answered >= rounds.quorum:
        good = min(track.good + 1, rounds.recover_after)
        track = replace(track, good=good, bad=0, answered=True, lost=False)
        if track.up is not True and good >= track.needed:
            # What was lost while it was down says nothing of the line as it is now.
            records = track.records if track.up is None else MappingProxyType({})
            track = replace(track, up=True, since=now, records=records)
        return _judged(track, rounds)
    bad = min(track.bad + 1, max(rounds.first, PATIENCE))
    track = replace(track, bad=bad, good=0)
    if bad < (rounds.first if track.up is None else rounds.fail_after):
        return _judged(track, rounds)
    if rounds.doubt and not track.answered:
        return _doubted(track, rounds, next_hop, now)
    return failed(track, rounds, now)


def _doubted(track: Track, rounds: Rounds, next_hop: NextHop, now: float) -> Track:
    """After the silence of what has never answered: it may be dead, or answer nobody, or not us. The kernel asks too.

    What the kernel gave up is dead: no packet can be sent there. What it found is alive, but for an agent that has
    just begun: the kernel may have found it before it died, and has not verified it yet.
    """
    if next_hop == "lost":
        return failed(track, rounds, now, lost=True)
    patient = track.bad >= PATIENCE and not track.lost
    if track.up or not (patient or (next_hop == "found" and track.up is False)):
        return track
    return replace(track, up=True, since=now, lost=False)


def failed(track: Track, rounds: Rounds, now: float, *, lost: bool = False) -> Track:
    """A failure: by `fail_after` bad rounds, or by what is as certain, a next hop that the kernel has `lost`."""
    track = replace(track, good=0, needed=rounds.recover_after, degraded=False, lost=track.lost or lost)
    return track if track.up is False else replace(track, up=False, since=now)


def after_question(track: Track, target: int, rtt: float | None) -> Track:
    """After a first question to `target`: answered after `rtt` seconds, or not at all (None)."""
    record = track.records.get(target, Record()).after(rtt)
    return replace(track, records=MappingProxyType({**track.records, target: record}))


def _judged(track: Track, rounds: Rounds) -> Track:
    """Degraded above a threshold, until it is clearly below: no flapping around it."""
    asked = max((record.asked for record in track.records.values()), default=0)
    if not track.up or asked < SETTLED:
        return track
    loss, rtt = track.measured()
    ease = EASED if track.degraded else 1.0
    degraded = _above(loss, rounds.max_loss, ease) or _above(rtt, rounds.max_latency, ease)
    return track if degraded == track.degraded else replace(track, degraded=degraded)


def _above(value: float | None, limit: float | None, ease: float) -> bool:
    return value is not None and limit is not None and value > limit * ease


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
