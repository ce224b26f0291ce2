"""Topics: `backstage/1/<site>/<node>/<topic>`, with the version in the topic and one writer per node."""

from __future__ import annotations

import re

from agent.model import (
    Choice,
    Containers,
    Delegation,
    Fact,
    NetworkLeases,
    NodeInfo,
    NodeState,
    PartStatus,
    Peer,
    UplinkHealth,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)
from agent.wire.errors import WireError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""A site, node, network, part or kind of event."""

_FIXED: dict[type, str] = {
    NodeState: "state",
    NodeInfo: "info",
    UplinkLink: "uplink/link",
    UplinkIPv4: "uplink/ipv4",
    UplinkIPv6: "uplink/ipv6",
    UplinkHealth: "uplink/health",
    Containers: "containers",
}
_SHOWN = 80


def root(site: str) -> str:
    """Give the topic above all nodes of a site, without a slash at its end."""
    return f"backstage/1/{site}"


def topic_for(kind: str, name: str) -> str:
    """Give `<kind>/<name>`, such as `choice/home`.

    Raises:
        WireError: the name cannot be a level of a topic.
    """
    if not NAME.fullmatch(name):
        raise WireError(kind, "", f"{name[:_SHOWN]!r} is not a name (a-z 0-9 . _ -, at most 63)")
    return f"{kind}/{name}"


def topic_of(fact: Fact) -> str:
    """Give the topic (below the node) where a fact is published.

    Raises:
        WireError: its network or part cannot be a level of a topic.
    """
    match fact:
        case Delegation():
            return f"uplink/prefix/{fact.prefix.prefixlen}"
        case Choice():
            return topic_for("choice", fact.network)
        case NetworkLeases():
            return topic_for("leases", fact.network)
        case PartStatus():
            return topic_for("status", fact.part)
        case _:
            return _FIXED[type(fact)]


def topics_of_peer(peer: Peer) -> frozenset[str]:
    """Give the topics that what is known of a peer came by."""
    single = (peer.state, peer.info, peer.link, peer.ipv4, peer.ipv6, peer.health, peer.containers)
    return frozenset(topic_of(fact) for fact in (*single, *peer.delegations.values()) if fact is not None)


def is_event(topic: str) -> bool:
    """Whether a topic (below the node) is an event's: not retained, and no agent depends on it."""
    return topic.startswith("event/")


def split(site: str, topic: str) -> tuple[str, str]:
    """Give node and topic below it of a full topic.

    Raises:
        WireError: it is not below the site, or the node is not a name.
    """
    above = root(site) + "/"
    node, _, below = topic.removeprefix(above).partition("/")
    if not topic.startswith(above) or not below:
        raise WireError(topic[:_SHOWN], "", f"not {above}<node>/<topic>")
    if not NAME.fullmatch(node):
        raise WireError(topic[:_SHOWN], "", f"{node[:_SHOWN]!r} is not a node's name")
    return node, below
