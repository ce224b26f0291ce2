"""`forwards`: each port of an uplink once, and a host that can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from agent.config.address_list import literal
from agent.config.base import MendError
from agent.config.cross.words import there_are, unknown_uplinks
from agent.config.fields import near
from agent.config.finding import Complaint, KeyPath
from agent.config.forward import Forward
from agent.config.ports import MAX_PORT, Ports
from agent.config.settings import Settings


def check(settings: Settings) -> Iterator[Complaint]:
    """Each forward by itself, then its claims against those before it."""
    for name, forward in settings.forwards.items():
        path: KeyPath = ("forwards", name)
        if not forward.ports:
            yield Complaint(path, "a forward without ports", "add `tcp: …` or `udp: …`", at_key=True)
        yield from _target(settings, path, forward)
        yield from _inside(path, forward)
        yield from _sources(settings, path, forward)
        yield from unknown_uplinks(settings, (*path, "uplinks"), forward.uplinks)
    yield from _claims(settings)


def _target(settings: Settings, path: KeyPath, forward: Forward) -> Iterator[Complaint]:
    host = settings.hosts.get(forward.to)
    if host is None:
        what = "is a network, not a host" if forward.to in settings.networks else "is no host"
        mend = near(forward.to, settings.hosts, there_are(settings.hosts, "hosts"))
        yield Complaint((*path, "to"), f"`{forward.to}` {what}", mend)
    elif host.ipv4 is None:
        mend = f"add `ipv4` to `hosts.{forward.to}`; IPv6 needs no forward: write a rule from internet"
        yield Complaint((*path, "to"), f"`{forward.to}` has no IPv4 address to forward to", mend)


def _sources(settings: Settings, path: KeyPath, forward: Forward) -> Iterator[Complaint]:
    """Who may use it: the ingress knows networks, addresses and lists that are written, and IPv4 only."""
    known = (*settings.networks, *settings.lists)
    for number, word in enumerate(forward.from_):
        at = (*path, "from", number)
        if set(word) & set(".:/"):
            try:
                prefix = literal(word)
            except MendError as error:
                yield Complaint(at, error.message, error.mend)
                continue
            if not isinstance(prefix, IPv4Network):
                yield Complaint(
                    at, f"`{word}` is not IPv4", "forwards are of IPv4: write a rule from internet for IPv6"
                )
        elif word not in known:
            mend = near(word, known, "write a network, an address, a prefix or a list of `addresses`")
            yield Complaint(at, f"there is no network or list `{word}`", mend)
        elif word in settings.lists and not settings.lists[word].addresses:
            message = f"the list `{word}` is read by the firewall, the forwards are the ingresses'"
            yield Complaint(at, message, "name a list of `addresses`, or write them here")
        elif word in settings.networks and settings.networks[word].ipv4 is None:
            yield Complaint(at, f"`{word}` has no IPv4", "add `ipv4` to the network, or name another")


def _inside(path: KeyPath, forward: Forward) -> Iterator[Complaint]:
    if forward.to_port is None:
        return
    if len(forward.tcp) > 1 or len(forward.udp) > 1:
        message = "one `to_port` for several ports outside"
        yield Complaint((*path, "to_port"), message, "write one port or one range, or a forward for each")
        return
    last = max((mapped.to_last for mapped in forward.mapped), default=0)
    if last > MAX_PORT:
        message = f"the range would end inside at port {last}"
        yield Complaint((*path, "to_port"), message, f"write at most {forward.to_port - (last - MAX_PORT)}")


def _claims(settings: Settings) -> Iterator[Complaint]:
    claimed: list[tuple[str, str, Ports]] = []
    for name, forward in settings.forwards.items():
        said: set[str] = set()
        for uplink in settings.uplinks_of_forward(name):
            for ports in forward.ports:
                for other, theirs, range_ in claimed:
                    if theirs == uplink and _overlap(ports, range_) and other not in said:
                        said.add(other)
                        whom = "twice here" if other == name else f"by `{other}` too"
                        message = f"{_shown(ports)} is claimed {whom}, at uplink `{uplink}`"
                        mend = "give each port to one forward, or different `uplinks`"
                        yield Complaint(("forwards", name, ports.protocol), message, mend)
                claimed.append((name, uplink, ports))


def _overlap(one: Ports, other: Ports) -> bool:
    return one.protocol == other.protocol and one.first <= other.last and other.first <= one.last


def _shown(ports: Ports) -> str:
    span = str(ports.first) if ports.first == ports.last else f"{ports.first}-{ports.last}"
    return f"{ports.protocol} {span}"
