"""Whether an ingress answers the firewall's own probe, and what it says. Pure: see `agent.drivers.probe.watcher`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.model import Family, Reach, Reachability

# At this pace three misses are noticed within 400 ms, and moved away from within half a second. Ten times a second cost
# an idle firewall 0.6 % of a slow core.
INTERVAL = 0.15
HURRIED = 0.05  # while an answer is missed
MISSES = 3
RETURNS = 3  # answers in a row until a silent one is reached again


@dataclass(frozen=True, slots=True)
class Contact:
    """One ingress. `misses`, `answers`: in a row. `dead`: the families of which it says that nothing passes."""

    silent: bool | None = None
    misses: int = 0
    answers: int = 0
    dead: frozenset[Family] = frozenset()

    @property
    def reach(self) -> Reach:
        """The fact."""
        return Reach(self._family(4), self._family(6))

    @property
    def doubtful(self) -> bool:
        """Whether an answer is missed, and it is not known to be silent."""
        return bool(self.misses) and not self.silent

    def _family(self, family: Family) -> Reachability:
        if self.silent is None:
            return "unknown"
        if self.silent:
            return "silent"
        return "refused" if family in self.dead else "up"


def after_question(contact: Contact, dead: frozenset[Family] | None) -> Contact:
    """After a question and the time to answer it. `dead`: what the answer said, None for no answer.

    What an ingress says of itself is believed at once, that it lives again only after some answers. Where nothing
    changes the same contact is returned: this runs seven times a second.
    """
    if dead == contact.dead and contact.answers == RETURNS and not contact.silent:
        return contact
    if dead is None:
        if contact.misses == MISSES:
            return contact
        misses = min(contact.misses + 1, MISSES)
        return replace(contact, silent=True if misses >= MISSES else contact.silent, misses=misses, answers=0)
    answers = min(contact.answers + 1, RETURNS)
    back = contact.silent is not True or answers >= RETURNS
    return Contact(not back, 0, answers, dead)
