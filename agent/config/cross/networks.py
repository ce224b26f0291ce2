"""`networks`: their subnets, pools and uplinks."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network

from agent.config.cross.words import unknown_uplinks
from agent.config.finding import Complaint, KeyPath
from agent.config.network import Network
from agent.config.plan6 import NETWORK_LENGTH
from agent.config.preference import groups
from agent.config.settings import Settings
from agent.config.uplink import StaticUplink, WireguardUplink


def check(settings: Settings) -> Iterator[Complaint]:
    """Each network by itself, then each against the others."""
    for name, network in settings.networks.items():
        path: KeyPath = ("networks", name)
        listed = [entry.uplink for entry in network.uplinks or ()]
        yield from unknown_uplinks(settings, (*path, "uplinks"), listed)
        yield from _weights(path, network)
        yield from _addressing(path, network)
        vms = any(host.network == name for host in settings.docker_hosts.values())
        if network.ipv4 is None and network.subnet is None and not vms:
            message, mend = f"`{name}` has neither `ipv4` nor `subnet`", "add one of them"
            yield Complaint(path, message, mend, level="warning", at_key=True)
    yield from _subnets(settings)
    yield from _overlaps(settings)


def _addressing(path: KeyPath, network: Network) -> Iterator[Complaint]:
    if network.addressing == "internal":
        return
    if network.transit:
        yield Complaint((*path, "addressing"), "the transit network has internal addresses only", "delete it")
    elif network.subnet is None:
        message = f"`addressing: {network.addressing}` on a network without `subnet`"
        mend = "add `subnet: 0x…`: it numbers the firewall's own address, and the global /64 where that number is free"
        yield Complaint((*path, "addressing"), message, mend)


def _weights(path: KeyPath, network: Network) -> Iterator[Complaint]:
    """A weight shares with a neighbour of the order that has one too."""
    for place in groups(network.uplinks or ()):
        if len(place) == 1 and place[0].weight is not None:
            number = (network.uplinks or ()).index(place[0])
            message = f"`{place[0].uplink}` has a weight, and no neighbour in this order to share with has one"
            mend = "give the uplink before or after it a weight too, or write the name alone"
            yield Complaint((*path, "uplinks", number), message, mend)
    if network.balance == "source" and not any(entry.weight is not None for entry in network.uplinks or ()):
        message = "nothing is shared between uplinks here"
        mend = "write the uplinks that share as { NAME: { weight: N } }, or delete `balance`"
        yield Complaint((*path, "balance"), message, mend, level="warning")


def _subnets(settings: Settings) -> Iterator[Complaint]:
    prefix = settings.site.prefix
    limit = 1 << max(0, NETWORK_LENGTH - prefix.prefixlen)
    first: dict[int, str] = {}
    for name, network in settings.networks.items():
        if network.subnet is None:
            continue
        path = ("networks", name, "subnet")
        if network.subnet >= limit:
            mend = f"write 0x0 to {limit - 1:#x}" if limit > 1 else "write 0x0 for the one /64 there is"
            yield Complaint(path, f"{network.subnet:#x} does not fit into {prefix}, which has {limit} /64s", mend)
        elif network.subnet in first:
            message = f"`{name}` and `{first[network.subnet]}` have one subnet, {network.subnet:#x}"
            yield Complaint(path, message, "give each network a number of its own")
        first.setdefault(network.subnet, name)


def _overlaps(settings: Settings) -> Iterator[Complaint]:
    taken = [(f"the network of uplink `{name}`", net) for name, net in _uplink_networks(settings)]
    for name, network in settings.networks.items():
        if (net := network.ipv4_network) is None:
            continue
        for other, theirs in taken:
            if net.overlaps(theirs):
                message = f"{net} overlaps {theirs}, {other}"
                yield Complaint(("networks", name, "ipv4"), message, "choose networks that do not overlap")
        taken.append((f"network `{name}`", net))


def _uplink_networks(settings: Settings) -> Iterator[tuple[str, IPv4Network]]:
    for name, uplink in settings.uplinks.items():
        if isinstance(uplink, StaticUplink) and uplink.ipv4:
            yield name, uplink.ipv4.address.network
        if isinstance(uplink, WireguardUplink):
            yield from ((name, own.network) for own in uplink.addresses if isinstance(own, IPv4Interface))
