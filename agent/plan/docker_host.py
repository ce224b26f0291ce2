"""A docker host's plan: it changes nothing, it tells the firewall which containers run and what they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from agent.config import Settings
from agent.desired import Plan, Problem, Publication, Table
from agent.model import Attachment, Container, Containers, Engine, EngineContainer, PortSpan, State, Transport

LABEL = "router.expose"
# Seconds. A list of containers counts for so long without the host's word: an agent that is made anew (a new image) is
# back by then. It is repeated when a third of that is over.
VALID = 90.0
REPEAT = 10.0
# The engine may restart while its containers run on (live-restore): so long its last word counts.
GRACE = 10.0
MAX_PORT = 65535
# What one document holds (`agent.wire.containers`), with room to spare below its 64 KiB.
MAX_CONTAINERS = 512
MAX_ADDRESSES = 8
MAX_PORTS = 32
MAX_NOTES = 8
MAX_NOTE = 200
MAX_CHARACTERS = 56_000
_PART = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp))?", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORM = "write 443/tcp, 8000-8010/udp"


def plan_docker_host(settings: Settings, node: str, state: State, now: float) -> Plan:  # noqa: ARG001 - one signature
    """The plan of a docker host's agent at `now` (CLOCK_BOOTTIME): one fact, and nothing else anywhere."""
    engine = state.engine or Engine(error="the container engine was not asked yet", since=now)
    moments = [now + REPEAT]
    problems: tuple[Problem, ...] = ()
    if engine.error:
        problems = (Problem("docker", engine.error, engine.hint),)
    if engine.error and (now >= engine.since + GRACE or not engine.containers):
        fact = Containers(error=engine.error)
    else:
        fact = fit(container(found) for found in engine.containers)
        problems += tuple(Problem(f"container/{c.name}", note) for c in fact.containers for note in c.notes)
        if engine.error:
            moments.append(engine.since + GRACE)
    if fact.left_out:
        said = f"{fact.left_out} containers more than one host can tell of: those without {LABEL} are left out first"
        problems += (Problem("docker", said, "spread them over more docker hosts"),)
    return Plan(
        nft=Table(),
        facts=(Publication("containers", replace(fact, valid_until=now + VALID)),),
        memory=state.memory,
        problems=problems,
        again_at=min(moments),
    )


def container(found: EngineContainer) -> Container:
    """What is told of a container: ports are named only where its label asks for them."""
    addresses = tuple(sorted({a.address for a in found.attachments if a.address is not None}))
    notes: list[str] = []
    ports: tuple[PortSpan, ...] = ()
    if len(addresses) > MAX_ADDRESSES:
        notes.append(f"it has {len(addresses)} IPv6 addresses: only the first {MAX_ADDRESSES} count")
    if found.expose is not None:
        ports, complaints = parse_label(found.expose)
        notes += complaints
        if ports and not addresses:
            notes.append(_no_address(found.attachments))
        notes += _contradictions(found, ports)
    kept = tuple(_UNSAFE.sub("?", note)[:MAX_NOTE] for note in notes[:MAX_NOTES])
    return Container(found.name, addresses[:MAX_ADDRESSES], ports, kept)


def parse_label(text: str) -> tuple[tuple[PortSpan, ...], list[str]]:
    """The ports that a label's text asks for, and what is wrong with the rest of it.

    Parts are separated by commas or spaces: `443/tcp`, `8000-8010/udp`; without a protocol TCP, as Docker has it.
    """
    found: dict[PortSpan, None] = {}
    notes: list[str] = []
    parts = [part for part in re.split(r"[,\s]+", text[:4096]) if part]
    if not parts:
        notes.append(f"{LABEL} is empty: {_FORM}")
    for part in parts:
        span = _span(part)
        if span is None:
            notes.append(f"{LABEL}: {part[:40]!r} is no port: {_FORM}")
        elif len(found) < MAX_PORTS:
            found[span] = None
        elif span not in found:
            notes.append(f"{LABEL} names more than {MAX_PORTS} ports: write ranges (8000-8010/tcp)")
            break
    return tuple(found), notes


def _span(part: str) -> PortSpan | None:
    matched = _PART.fullmatch(part)
    if matched is None:
        return None
    first = int(matched[1])
    last = int(matched[2] or first)
    protocol: Transport = "udp" if (matched[3] or "").lower() == "udp" else "tcp"
    return PortSpan(protocol, first, last) if 1 <= first <= last <= MAX_PORT else None


def _no_address(attachments: Iterable[Attachment]) -> str:
    networks = ", ".join(sorted(a.network for a in attachments))
    if not networks:
        return "it is on no network, so it has no address"
    if networks == "host":
        return "it uses its host's own network: only a container with an address of its own can be opened"
    return f"it has no IPv6 address on {networks}: connect it to a network with `enable_ipv6`"


def _contradictions(found: EngineContainer, ports: Iterable[PortSpan]) -> Iterator[str]:
    """What the engine itself lets nobody reach, on networks whose mode says so."""
    for attachment in found.attachments:
        if attachment.address is None:
            continue
        if attachment.mode == "routed":
            for span in ports:
                if not _covered(span, found.published):
                    number = f"{span.first}-{span.last}" if span.first != span.last else f"{span.first}"
                    udp = "/udp" if span.protocol == "udp" else ""
                    yield (
                        f"{span} is asked for but not published: on network {attachment.network} (routed) the engine "
                        f"drops it, unless its `ip6tables` is false; publish it too (`ports: [{number}{udp}]`)"
                    )
        elif attachment.mode in {"nat", "isolated"}:
            yield (
                f"network {attachment.network} has gateway_mode_ipv6 {attachment.mode}: the engine lets nobody in by "
                "its containers' own addresses, unless its `ip6tables` is false; make it with mode routed"
            )


def _covered(span: PortSpan, published: Iterable[PortSpan]) -> bool:
    spans = sorted((p.first, p.last) for p in published if p.protocol == span.protocol)
    reached = span.first
    for first, last in spans:
        if first <= reached <= last:
            reached = last + 1
    return reached > span.last


def fit(found: Iterable[Container]) -> Containers:
    """As many as one document holds, by name; those that ask for something come first."""
    # A name that the bus would refuse must not take the others with it.
    known = [one for one in found if _NAME.fullmatch(one.name)]
    left = MAX_CHARACTERS
    kept: dict[str, Container] = {}
    count = 0
    for one in sorted(known, key=lambda c: (not c.ports and not c.notes, c.name)):
        count += 1
        size = 60 + len(one.name) + 42 * len(one.addresses) + 18 * len(one.ports)
        size += sum(len(note.encode()) + 10 for note in one.notes)
        left -= size
        if left >= 0 and len(kept) < MAX_CONTAINERS:
            kept.setdefault(one.name, one)
    return Containers(tuple(kept[name] for name in sorted(kept)), count - len(kept))
