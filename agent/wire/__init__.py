"""The bus on paper: topics and payloads, the only types two containers share (docs/bus.md shows each of them).

A fact is one JSON document on `backstage/1/<site>/<node>/<topic>`, retained. Its lifetimes are whole seconds that are
left when it is sent, never a moment: no wall clock is shared. The broker counts the message's expiry down, so a
receiver's deadline is its own CLOCK_BOOTTIME plus the expiry it received, and what is left of the preferred lifetime
is `preferred - (valid - expiry received)`. Seconds are rounded down: a deadline never grows by travelling, and loses
less than a second per hop. A reader ignores fields it does not know.

Form is checked here (types, bounds, sizes); whether a node may claim what it says is the planner's question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.model import Deadline, Fact
from agent.wire.documents import fact_of, fields_of
from agent.wire.errors import ExpiredError, WireError
from agent.wire.reader import Fields
from agent.wire.topics import is_event, root, split, topic_for, topic_of, topics_of_peer

MAX_PAYLOAD = 65536
"""Bytes of one document; mosquitto is configured to refuse more."""

EVENT_EXPIRY = 60
"""Seconds that an event waits for a reader that is away."""

__all__ = [
    "EVENT_EXPIRY",
    "MAX_PAYLOAD",
    "ExpiredError",
    "Received",
    "WireError",
    "decode",
    "encode",
    "encode_event",
    "is_event",
    "root",
    "split",
    "topic_for",
    "topic_of",
    "topics_of_peer",
]


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded fact. `topic` is below the node; `until` is the message's own deadline (CLOCK_BOOTTIME seconds)."""

    node: str
    topic: str
    fact: Fact
    until: Deadline


def encode(fact: Fact, topic: str, now: float) -> tuple[bytes, int | None]:
    """Give the payload and the message expiry (whole seconds, None for never) of a fact sent at `now`.

    `topic` is below the node and must be the one of that kind of fact. A preferred lifetime longer than the valid one
    is cut to it (RFC 8415 section 21.22), one that is over is sent as 0.

    Raises:
        ExpiredError: less than a second is left of the fact: it is to be withdrawn, not sent.
        WireError: the topic is not this fact's, or the document is too big.
    """
    document, expiry = fields_of(fact, topic, now)
    return _dump(document, topic), expiry


def encode_event(kind: str, document: Mapping[str, Any]) -> tuple[str, bytes]:
    """Give topic (below the node) and payload of an event; events are for people, no agent reads them.

    Raises:
        WireError: the kind is not a name, or the document is no JSON or too big.
    """
    topic = topic_for("event", kind)
    return topic, _dump(document, topic)


def decode(site: str, topic: str, payload: bytes, expiry: int | None, now: float) -> Received:
    """Read a message: the full topic, the payload, and the expiry as received (seconds left, None for never).

    Raises:
        WireError: naming topic, field and why, whatever the bytes are.
    """
    node, below = split(site, topic)
    if len(payload) > MAX_PAYLOAD:
        raise WireError(below, "", f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
    try:
        document = json.loads(payload, parse_constant=_refuse)
    except RecursionError as error:
        raise WireError(below, "", "nested too deeply") from error
    except ValueError as error:
        raise WireError(below, "", f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise WireError(below, "", "not a JSON object")
    fact, until = fact_of(below, Fields(below, document), expiry, now)
    return Received(node, below, fact, until)


def _dump(document: Mapping[str, Any], topic: str) -> bytes:
    try:
        payload = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(topic, "", f"cannot be written as JSON: {error}") from error
    if len(payload) > MAX_PAYLOAD:
        raise WireError(topic, "", f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
    return payload


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a number")
