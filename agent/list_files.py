"""The files of lists, looked at before the router has to: what `routerctl check` says of them."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config import Settings
from agent.config.finding import Complaint
from agent.drivers.lists import BadListError, read_list


def complaints(settings: Settings) -> Iterator[Complaint]:
    """A warning for each list whose file cannot be read here, is empty, or has a line that is no address."""
    for name, found in settings.lists.items():
        if not found.file:
            continue
        try:
            read_list(str(settings.path(found.file)))
        except BadListError as error:
            yield Complaint(("lists", name, "file"), str(error), error.hint, "warning")
