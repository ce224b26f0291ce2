"""`lists`: one source of addresses each."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.finding import Complaint
from agent.config.settings import Settings

LEAST_REFRESH = 10.0


def check(settings: Settings) -> Iterator[Complaint]:
    """Each list has one source; a list that no rule names does nothing."""
    used = {word for rule in settings.rules for word in (*rule.from_, *rule.to)}
    used |= {word for forward in settings.forwards.values() for word in forward.from_}
    for name, found in settings.lists.items():
        said = [key for key in ("addresses", "file", "names") if getattr(found, key)]
        if len(said) != 1:
            what = f"both `{said[0]}` and `{said[1]}`" if said else "no addresses"
            mend = "write one of `addresses: […]`, `file: …` and `names: […]`"
            yield Complaint(("lists", name), f"the list `{name}` has {what}", mend, at_key=True)
        if found.refresh < LEAST_REFRESH:
            mend = f"write at least {LEAST_REFRESH:.0f}s"
            yield Complaint(("lists", name, "refresh"), "that is too often", mend)
        if name not in used:
            message = f"no rule names the list `{name}`"
            yield Complaint(("lists", name), message, "name it in a rule, or delete it", "warning", at_key=True)
