"""What can be wrong with a message."""

from __future__ import annotations


class WireError(ValueError):
    """A message that is not ours: `topic` below the node, `field` (empty: the document itself), and `why`."""

    def __init__(self, topic: str, field: str, why: str) -> None:
        super().__init__(": ".join(part for part in (topic, field, why) if part))
        self.topic = topic
        self.field = field
        self.why = why


class ExpiredError(WireError):
    """A fact with less than a second left: there is nothing to send."""
