"""A simulated line that loses questions at random, under the rounds of a probe; no clock, no packet."""

from __future__ import annotations

import random

from agent.desired.probe import Rounds
from agent.health import ASKS, Track, after_question, after_round, to_ask

DAY = 86400.0
LOSS = 1 - 0.95**2  # of a question and its answer: 5 % each way
_RTT = 0.02


def simulated(rounds: Rounds, targets: int, seconds: float, loss: float, seed: int) -> list[Track]:
    """Every verdict in that time, the first one before anything was asked."""
    draw = random.Random(seed).random  # noqa: S311 - a fixed seed is the point
    track, told = Track(), [Track()]
    for number in range(int(seconds / rounds.interval)):
        answered: set[int] = set()
        for step in range(ASKS):
            for target in to_ask(step, answered=len(answered), turn=number, targets=targets, rounds=rounds):
                lost = draw() < loss
                if not lost:
                    answered.add(target)
                if step == 0:
                    track = after_question(track, target, None if lost else _RTT)
        track = after_round(track, rounds, answered=len(answered), now=number * rounds.interval)
        if (track.up, track.degraded) != (told[-1].up, told[-1].degraded):
            told.append(track)
    return told
