"""`docker_hosts`: prefixes that fit, and that nothing else has."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Network

from agent.config import plan6
from agent.config.cross.words import there_are
from agent.config.fields import near
from agent.config.finding import Complaint, KeyPath
from agent.config.settings import Settings
from agent.config.uplink import StaticUplink

_FIRST_INDEX = 2
_LONGEST = 79  # the containers have the second /80
_TAKEN = {0: "0 is kept free", 1: "1 is the uplink's own"}


def check(settings: Settings) -> Iterator[Complaint]:
    """Each docker host by itself, then all together."""
    for name, host in settings.docker_hosts.items():
        path: KeyPath = ("docker_hosts", name)
        if host.network not in settings.networks:
            mend = near(host.network, settings.networks, there_are(settings.networks, "networks"))
            yield Complaint((*path, "network"), f"there is no network `{host.network}`", mend)
            continue
        yield from _by_itself(settings, path, name)
    yield from _overlaps(settings)


def _by_itself(settings: Settings, path: KeyPath, name: str) -> Iterator[Complaint]:
    host = settings.docker_hosts[name]
    if (host.index is None) == (host.prefix is None):
        wrong = "neither `index` nor `prefix`" if host.index is None else "both `index` and `prefix`"
        yield Complaint(path, wrong, "write one of the two: which addresses it has", at_key=True)
    elif host.index is not None:
        yield from _index(settings, path, host.network, host.index)
    elif host.prefix is not None:
        yield from _prefix(settings, path, host.prefix)
    machine = _machine(settings, name)
    if host.containers is not None and machine is not None:
        at, mend = (*path, "containers"), f"leave it out: its containers then have {plan6.containers(machine.prefix)}"
        if not host.containers.subnet_of(machine.prefix):
            yield Complaint(at, f"{host.containers} is not inside {machine.prefix}, the prefix of `{name}`", mend)
        elif machine.address in host.containers:
            message = f"{host.containers} holds {machine.address}, the address of `{name}` itself"
            yield Complaint(at, message, mend)


def _index(settings: Settings, path: KeyPath, network: str, index: int) -> Iterator[Complaint]:
    base = settings.docker_base(network)
    limit = plan6.index_limit(settings.site.prefix, base)
    at = (*path, "index")
    if limit <= _FIRST_INDEX:
        message = f"{settings.site.prefix} has no room for docker hosts"
        mend = f"take a `site.prefix` of /64 or shorter, or add `subnet` to `{network}`"
        yield Complaint(at, message, mend)
    elif not _FIRST_INDEX <= index < limit:
        why = _TAKEN.get(index, f"{index:#x} does not fit {limit.bit_length() - 1} bits")
        yield Complaint(at, why, f"write 0x2 to {limit - 1:#x}")


def _prefix(settings: Settings, path: KeyPath, prefix: IPv6Network) -> Iterator[Complaint]:
    at = (*path, "prefix")
    if not plan6.NETWORK_LENGTH <= prefix.prefixlen <= _LONGEST:
        message = f"{prefix} is a /{prefix.prefixlen}"
        yield Complaint(at, message, f"write a prefix of /{plan6.NETWORK_LENGTH} to /{_LONGEST}, best a /76")
    elif not prefix.subnet_of(settings.site.prefix):
        message = f"{prefix} is not inside `site.prefix`, {settings.site.prefix}"
        yield Complaint(at, message, f"write a part of {settings.site.prefix}")


def _machine(settings: Settings, name: str) -> plan6.Machine | None:
    """A docker host's addresses where nothing is wrong with what they are made from."""
    host = settings.docker_hosts[name]
    if (host.index is None) == (host.prefix is None) or host.network not in settings.networks:
        return None
    if host.prefix is not None and not plan6.NETWORK_LENGTH <= host.prefix.prefixlen <= _LONGEST:
        return None
    if host.index is not None and host.index < _FIRST_INDEX:
        return None
    return settings.docker_machine(name)


def _overlaps(settings: Settings) -> Iterator[Complaint]:
    """Prefixes in the order of their addresses: what overlaps stands side by side."""
    found = [(name, machine.prefix) for name in settings.docker_hosts if (machine := _machine(settings, name))]
    order = {name: number for number, (name, _) in enumerate(found)}
    before: tuple[str, IPv6Network] | None = None
    for name, prefix in sorted(found, key=lambda one: (int(one[1].network_address), one[1].prefixlen, order[one[0]])):
        if before is not None and int(prefix.network_address) <= int(before[1].broadcast_address):
            yield _overlap(settings, *sorted(((name, prefix), before), key=lambda one: order[one[0]], reverse=True))
        if before is None or int(prefix.broadcast_address) > int(before[1].broadcast_address):
            before = (name, prefix)
    others = [(other, theirs) for other in settings.networks if (theirs := settings.network_prefix(other))]
    statics = [(name, up.ipv6) for name, up in settings.uplinks.items() if isinstance(up, StaticUplink) and up.ipv6]
    for name, prefix in found:
        path, mine = _key(settings, name), settings.docker_hosts[name].network
        for other, theirs in others:
            if other != mine and theirs.overlaps(prefix):
                message = f"{prefix} lies in {theirs}, the prefix of network `{other}`"
                mend = f"delete `subnet` of `{other}`, or give `{mine}` one of its own"
                yield Complaint(path, message, mend)
        for uplink, ipv6 in statics:
            if ipv6.address.ip in prefix:
                message = f"{prefix} holds {ipv6.address.ip}, the address of uplink `{uplink}`"
                yield Complaint(path, message, f"take another {path[-1]}")


def _overlap(settings: Settings, one: tuple[str, IPv6Network], other: tuple[str, IPv6Network]) -> Complaint:
    """`one` is the later in the file."""
    path, index = _key(settings, one[0]), settings.docker_hosts[one[0]].index
    if index is not None and one[1] == other[1] and settings.docker_hosts[other[0]].index == index:
        message = f"`{one[0]}` and `{other[0]}` have one index, {index:#x}"
    else:
        message = f"{one[1]} of `{one[0]}` overlaps {other[1]} of `{other[0]}`"
    return Complaint(path, message, "give each docker host its own", see=_key(settings, other[0]))


def _key(settings: Settings, name: str) -> KeyPath:
    return ("docker_hosts", name, "index" if settings.docker_hosts[name].index is not None else "prefix")
