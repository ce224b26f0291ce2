"""`uplinks.*.ipv4.extra`: each address once, and either a host's or some networks'."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.fields import near
from agent.config.finding import Complaint, KeyPath
from agent.config.settings import Settings
from agent.config.uplink import StaticUplink


def check(settings: Settings, path: KeyPath, uplink: StaticUplink) -> Iterator[Complaint]:
    """The further addresses of one uplink."""
    if uplink.ipv4 is None:
        return
    first: dict[object, str] = {uplink.ipv4.address.ip: "the uplink's address", uplink.ipv4.gateway: "its gateway"}
    owners: set[str] = set()
    for number, extra in enumerate(uplink.ipv4.extra):
        at = (*path, number)
        if extra.address in first:
            message = f"{extra.address} is {first[extra.address]} already"
            yield Complaint((*at, "address"), message, "write each address once")
        first[extra.address] = f"`extra[{number}]`"
        if (extra.host is None) == (not extra.networks):
            wrong = "both `host` and `networks`" if extra.host else "neither `host` nor `networks`"
            yield Complaint(at, wrong, "write one of the two: whose the address is")
        elif extra.host is not None:
            yield from _host(settings, (*at, "host"), extra.host, owners)
        else:
            for place, name in enumerate(extra.networks):
                yield from _network(settings, (*at, "networks", place), name, owners)


def _host(settings: Settings, at: KeyPath, name: str, owners: set[str]) -> Iterator[Complaint]:
    if name not in settings.hosts:
        yield Complaint(at, f"there is no host `{name}`", near(name, settings.hosts, "see `hosts`"))
    elif settings.hosts[name].ipv4 is None:
        yield Complaint(at, f"`{name}` has no IPv4 address to map to", "add `ipv4` to the host")
    elif name in owners:
        yield Complaint(at, f"`{name}` has one of these addresses already", "write one for each host")
    else:
        # The firewall does not see by which address a packet came: it accepts what a forward leads to.
        some = next((key for key, forward in settings.forwards.items() if forward.to == name and forward.from_), None)
        if some is not None:
            message = f"at an address of its own, `from` of the forward `{some}` to `{name}` would not hold"
            yield Complaint(at, message, f"write a rule from those of `forwards.{some}.from` to `{name}` instead of it")
    owners.add(name)


def _network(settings: Settings, at: KeyPath, name: str, owners: set[str]) -> Iterator[Complaint]:
    if name not in settings.networks:
        yield Complaint(at, f"there is no network `{name}`", near(name, settings.networks, "see `networks`"))
    elif settings.networks[name].ipv4 is None:
        yield Complaint(at, f"`{name}` has no IPv4", f"add `ipv4` to `{name}`, or delete it here")
    elif name in owners:
        yield Complaint(at, f"`{name}` goes out by one of these addresses already", "write each network once")
    owners.add(name)
