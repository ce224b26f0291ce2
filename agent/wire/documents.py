"""Each kind of fact as a JSON object, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from agent.model import (
    Choice,
    Containers,
    Deadline,
    Delegation,
    Fact,
    FamilyHealth,
    NetworkLeases,
    NodeInfo,
    NodeState,
    PartStatus,
    PrefixMapping,
    UplinkHealth,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)
from agent.wire import reader
from agent.wire.choice import age_of, read_choice, write_choice
from agent.wire.containers import read_containers, write_containers
from agent.wire.errors import ExpiredError, WireError
from agent.wire.leases import read_leases, write_leases
from agent.wire.reader import Fields, clean
from agent.wire.topics import NAME, topic_of

Document = dict[str, Any]


def fields_of(fact: Fact, topic: str, now: float) -> tuple[Document, int | None]:
    """Give the JSON object of a fact, and its expiry in seconds: None is for ever."""
    if topic != topic_of(fact):
        raise WireError(topic, "", f"not the topic of this fact: it is {topic_of(fact)}")
    valid = _seconds_left(getattr(fact, "valid_until", None), now)
    if valid is not None and valid < 1:
        raise ExpiredError(topic, "valid", "less than a second is left")
    document = _write(fact, valid, now)
    if valid is not None:
        document["valid"] = valid
    return document, valid


def _write(fact: Fact, valid: int | None, now: float) -> Document:
    if isinstance(fact, Delegation):
        return _write_delegation(fact, valid, now)
    if isinstance(fact, UplinkLink | UplinkIPv4 | UplinkIPv6 | UplinkHealth):
        return _write_uplink(fact, now)
    if isinstance(fact, Containers):
        return write_containers(fact)
    if isinstance(fact, NetworkLeases):
        return write_leases(fact)
    return _write_node(fact, now)


def _write_node(fact: NodeState | NodeInfo | Choice | PartStatus, now: float) -> Document:
    match fact:
        case NodeState():
            return {"state": fact.state, "session": fact.session}
        case NodeInfo():
            names = {"version": clean(fact.version), "config_digest": clean(fact.config_digest)}
            return {"role": fact.role, "schema": fact.schema, **names}
        case Choice():
            return {"ipv4": write_choice(fact.ipv4, now), "ipv6": write_choice(fact.ipv6, now)}
        case PartStatus():
            return {"fingerprint": clean(fact.fingerprint), "error": clean(fact.error), "hint": clean(fact.hint)}


def _write_delegation(fact: Delegation, valid: int | None, now: float) -> Document:
    preferred = _seconds_left(fact.preferred_until, now)
    if valid is not None:
        preferred = valid if preferred is None else min(preferred, valid)
    document: Document = {"prefix": str(fact.prefix)}
    return document if preferred is None else {**document, "preferred": max(preferred, 0)}


def _write_uplink(fact: UplinkLink | UplinkIPv4 | UplinkIPv6 | UplinkHealth, now: float) -> Document:
    match fact:
        case UplinkLink():
            where = _known(ipv4=fact.ipv4, link_local=fact.link_local)
            return {"carrier": fact.carrier, "mtu": fact.mtu, **where, "mac": fact.mac}
        case UplinkIPv4():
            return {"address": str(fact.address), **_known(gateway=fact.gateway), "dns": _texts(fact.dns)}
        case UplinkIPv6():
            mappings = [{"internal": str(m.internal), "external": str(m.external)} for m in fact.mappings]
            document: Document = {"mode": fact.mode, "addresses": _texts(fact.addresses), "mappings": mappings}
            return {**document, **_known(gateway=fact.gateway, nat66=fact.nat66), "dns": _texts(fact.dns)}
        case UplinkHealth():
            families = {"ipv4": fact.ipv4, "ipv6": fact.ipv6}
            return {name: _health(family, now) for name, family in families.items() if family is not None}


def _seconds_left(deadline: Deadline, now: float) -> int | None:
    return None if deadline is None else min(math.floor(deadline - now), reader.MAX_SECONDS)


def _known(**values: object) -> Document:
    return {name: str(value) for name, value in values.items() if value is not None}


def _texts(values: tuple[object, ...]) -> list[str]:
    return [str(value) for value in values]


def _health(family: FamilyHealth, now: float) -> Document:
    age = None if family.since is None else age_of(family.since, now)
    measured = {"loss": family.loss, "rtt": family.rtt, "for": age}
    known = {name: value for name, value in measured.items() if value is not None}
    return {"up": family.up, "degraded": family.degraded, **known}


def fact_of(topic: str, fields: Fields, expiry: int | None, now: float) -> tuple[Fact, Deadline]:
    """Read the fact of a topic (below the node) from its fields; give its deadline too."""
    kind, _, name = topic.rpartition("/")
    if kind in {"choice", "leases", "status"} and not NAME.fullmatch(name):
        raise WireError(topic, "", "its last level is not a name")
    until = _until(fields, expiry, now)
    if kind == "uplink/prefix":
        return _delegation(name, fields, expiry, now), until
    if kind == "choice":
        return Choice(name, read_choice(fields, "ipv4", now), read_choice(fields, "ipv6", now)), until
    if kind == "leases":
        return read_leases(name, fields), until
    if kind == "status":
        error, hint = fields.text("error", default=""), fields.text("hint", default="")
        return PartStatus(name, fields.text("fingerprint"), error, hint), until
    if topic == "uplink/health":
        return _uplink_health(fields, until, now), until
    read = _READERS.get(topic)
    if read is None:
        raise WireError(topic, "", "no such topic")
    return read(fields, until), until


def _until(fields: Fields, expiry: int | None, now: float) -> Deadline:
    """Give the deadline: now and the expiry received, which no sender of a lifetime may have left out."""
    valid = fields.seconds("valid")
    if valid is not None and expiry is None:
        raise fields.error("valid", "limited, but the message has no expiry")
    if valid is not None and expiry is not None and expiry > valid:
        raise fields.error("valid", f"{valid} s, but the message expires later, in {expiry} s")
    return None if expiry is None else now + expiry


def _delegation(length: str, fields: Fields, expiry: int | None, now: float) -> Delegation:
    prefix = fields.value("prefix", reader.ipv6_network)
    if str(prefix.prefixlen) != length:
        raise fields.error("prefix", f"a /{prefix.prefixlen} under the topic of /{length[:8]}")
    until = None if expiry is None else now + expiry
    preferred, valid = fields.seconds("preferred"), fields.seconds("valid")
    if preferred is None:
        return Delegation(prefix, until, until)
    if valid is None or expiry is None:
        return Delegation(prefix, now + preferred, until)
    if preferred > valid:
        raise fields.error("preferred", f"{preferred} s is longer than valid, {valid} s")
    return Delegation(prefix, now + max(preferred - (valid - expiry), 0), until)


def _state(fields: Fields, _until: Deadline) -> NodeState:
    session = fields.name("session", NAME)
    match fields.text("state"):
        case "init" | "ready" | "disconnected" | "lost" as state:
            return NodeState(state, session)
    raise fields.error("state", "not init, ready, disconnected or lost")


def _info(fields: Fields, _until: Deadline) -> NodeInfo:
    schema, digest = fields.integer("schema", 0, 0xFFFF), fields.text("config_digest")
    match fields.text("role"):
        case "ingress" | "firewall" | "docker-host" as role:
            return NodeInfo(role, fields.text("version"), schema, digest)
    raise fields.error("role", "not ingress, firewall or docker-host")


def _link(fields: Fields, _until: Deadline) -> UplinkLink:
    link_local = fields.maybe("link_local", reader.ipv6_address)
    if link_local is not None and not link_local.is_link_local:
        raise fields.error("link_local", "not in fe80::/10")
    return UplinkLink(
        carrier=fields.flag("carrier"),
        mtu=fields.integer("mtu", 0, 0x10000),
        ipv4=fields.maybe("ipv4", reader.ipv4_address),
        link_local=link_local,
        mac=fields.mac("mac"),
    )


def _ipv4(fields: Fields, until: Deadline) -> UplinkIPv4:
    return UplinkIPv4(
        address=fields.value("address", reader.ipv4_interface),
        gateway=fields.maybe("gateway", reader.ipv4_address),
        dns=fields.items("dns", reader.address),
        valid_until=until,
    )


def _ipv6(fields: Fields, until: Deadline) -> UplinkIPv6:
    mode = fields.text("mode")
    if mode not in {"prefix", "networks", "nat66", "routed", "none"}:
        raise fields.error("mode", "not prefix, networks, nat66, routed or none")
    return UplinkIPv6(
        mode=mode,  # type: ignore[arg-type]  # checked above; mypy does not narrow by a set
        addresses=fields.items("addresses", reader.ipv6_interface),
        gateway=fields.maybe("gateway", reader.ipv6_address),
        mappings=tuple(_mapping(item) for item in fields.inner_items("mappings")),
        nat66=fields.maybe("nat66", reader.ipv6_address),
        dns=fields.items("dns", reader.address),
        valid_until=until,
    )


def _mapping(fields: Fields) -> PrefixMapping:
    internal = fields.value("internal", reader.ipv6_network)
    external = fields.value("external", reader.ipv6_network)
    if internal.prefixlen != external.prefixlen:
        raise fields.error("external", f"a /{external.prefixlen} for an internal /{internal.prefixlen}")
    return PrefixMapping(internal, external)


def _uplink_health(fields: Fields, until: Deadline, now: float) -> UplinkHealth:
    valid = fields.seconds("valid")
    sent = now if valid is None or until is None else until - valid  # what the expiry lost on its way is age
    return UplinkHealth(_read_health(fields.inner("ipv4"), sent), _read_health(fields.inner("ipv6"), sent), until)


def _read_health(family: Fields | None, sent: float) -> FamilyHealth | None:
    if family is None:
        return None
    age, degraded = family.seconds("for"), family.flag("degraded") if family.has("degraded") else False
    measured = family.number("loss", 0, 1), family.number("rtt", 0, 3600)
    return FamilyHealth(family.flag("up"), *measured, degraded, None if age is None else sent - age)


_READERS: dict[str, Callable[[Fields, Deadline], Fact]] = {
    "state": _state,
    "info": _info,
    "uplink/link": _link,
    "uplink/ipv4": _ipv4,
    "uplink/ipv6": _ipv6,
    "containers": read_containers,
}
