"""Whether an ingress answers the firewall's own probe, family by family. Pure: see `agent.drivers.probe.watcher`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from agent.model import Reachability

# At this pace three misses are noticed within 320 ms, and moved away from within half a second.
INTERVAL = 0.08
MISSES = 3
RETURNS = 3  # answers in a row until it is reached again

Heard: TypeAlias = Literal["reply", "refusal"] | None


@dataclass(frozen=True, slots=True)
class Contact:
    """One address of an ingress. `misses`, `answers`: in a row."""

    reach: Reachability = "unknown"
    misses: int = 0
    answers: int = 0


def after_question(contact: Contact, heard: Heard) -> Contact:
    """After a question and the time to answer it.

    A refusal is believed at once, since the ingress says it itself. Silence after it changes nothing: the kernel limits
    how many refusals it sends.
    """
    if heard == "refusal":
        return Contact("refused")
    if heard == "reply":
        answers = min(contact.answers + 1, RETURNS)
        back = contact.reach == "unknown" or answers >= RETURNS
        return Contact("up" if back else contact.reach, 0, answers)
    misses = min(contact.misses + 1, MISSES)
    gone = misses >= MISSES and contact.reach != "refused"
    return replace(contact, reach="silent" if gone else contact.reach, misses=misses, answers=0)
