"""Words that name something: is there such a thing?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.config.fields import near
from agent.config.finding import Complaint, KeyPath
from agent.config.settings import Settings


def there_are(words: Iterable[str], what: str) -> str:
    """The end of a mend: what one may choose from."""
    known = ", ".join(words)
    return f"write one of {known}" if known else f"there are no {what}: add one"


def unknown_uplinks(settings: Settings, path: KeyPath, listed: Iterable[str] | None) -> Iterator[Complaint]:
    """Uplinks in a list that are not there, or twice."""
    seen: set[str] = set()
    for number, name in enumerate(listed or ()):
        if name not in settings.uplinks:
            mend = near(name, settings.uplinks, there_are(settings.uplinks, "uplinks"))
            yield Complaint((*path, number), f"there is no uplink `{name}`", mend)
        elif name in seen:
            yield Complaint((*path, number), f"`{name}` is listed twice", "delete one")
        seen.add(name)
