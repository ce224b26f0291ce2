"""What an agent says of itself: the facts `status/<part>`, and the document behind `routerctl status`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from agent import __version__
from agent.desired import Problem, Publication
from agent.model import PartStatus, Peer

if TYPE_CHECKING:
    from agent.config import Settings
    from agent.reconcile import Reconciler, Status


def publications(
    status: Mapping[str, Status], problems: Iterable[Problem], fingerprints: Mapping[str, str]
) -> tuple[Publication, ...]:
    """The status facts: a part's failure first, else the first problem a plan names for it."""
    named: dict[str, Problem] = {}
    for problem in problems:
        named.setdefault(problem.part.replace("/", "."), problem)  # a topic level has no slash
    facts = []
    for part in sorted({*status, *named, *fingerprints}):
        now = status.get(part)
        error, hint = (now.error, now.hint) if now else ("", "")
        if not error and part in named:
            error, hint = named[part].message, named[part].hint
        facts.append(Publication(f"status/{part}", PartStatus(part, fingerprints.get(part, ""), error, hint)))
    return tuple(facts)


def other_configurations(peers: Mapping[str, Peer], node: str, digest: str) -> tuple[Problem, ...]:
    """Nodes that run with another configuration than ours: one of us has not read the file since it changed."""
    # A docker host needs a few lines of it only: its file may be another one.
    asked = {name: peer.info for name, peer in peers.items() if peer.info and peer.info.role != "docker-host"}
    differ = (name for name, info in sorted(asked.items()) if info.config_digest != digest)
    hint = "run `routerctl reload` on both; do they mount the same file?"
    return tuple(Problem("config", f"{name} runs with another configuration", hint) for name in differ if name != node)


def fingerprint(value: object) -> str:
    """Twelve hex digits that change when the value does; equal on two machines that applied the same."""
    return hashlib.blake2b(repr(value).encode(), digest_size=6).hexdigest()


def document(
    loop: Reconciler, node: str, settings: Settings, problems: Iterable[Problem], now: float
) -> dict[str, object]:
    """All that `routerctl status` shows, as JSON values."""
    plan = loop.applied
    parts = {
        part: {"error": status.error, "hint": status.hint, "for": round(now - status.since, 1)}
        for part, status in sorted(loop.status.items())
    }
    return {
        "node": node,
        "role": settings.role(node),
        "version": __version__,
        "ready": loop.ready,
        "bus": loop.state.bus_connected,
        "parts": parts,
        "problems": [plain(problem) for problem in problems],
        "facts": {publication.topic: plain(publication.fact) for publication in plan.facts} if plan else {},
        "peers": {name: plain(peer) for name, peer in sorted(loop.state.peers.items()) if name != node},
    }


def plain(value: object) -> object:
    """A value of `agent.model` as JSON: dataclasses become objects, addresses text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
