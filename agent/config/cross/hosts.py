"""`hosts`: where they live and how they are reached."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from agent.config import plan6
from agent.config.cross.words import there_are
from agent.config.fields import near
from agent.config.finding import Complaint, KeyPath
from agent.config.host import Host
from agent.config.network import Network
from agent.config.settings import Settings


def check(settings: Settings) -> Iterator[Complaint]:
    """Each host by itself, then addresses that two have."""
    seen: dict[object, str] = {}
    for name, host in settings.hosts.items():
        path: KeyPath = ("hosts", name)
        placed = list(_place(settings, path, host))
        yield from placed
        if placed:
            continue
        yield from _ipv4(settings, path, host)
        yield from _suffix(settings, path, host)
        if host.mac is None and host.ipv4 is None and host.suffix is None:
            message, mend = f"`{name}` has no address", "add `ipv4`, `suffix` or both"
            yield Complaint(path, message, mend, level="warning", at_key=True)
        for key, address in (("ipv4", host.ipv4), ("suffix", settings.host_address6(name))):
            if address is not None and seen.setdefault(address, name) != name:
                message = f"`{name}` and `{seen[address]}` have one address, {address}"
                yield Complaint((*path, key), message, "give each host its own")


def _place(settings: Settings, path: KeyPath, host: Host) -> Iterator[Complaint]:
    if (host.network is None) == (host.docker_host is None):
        wrong = "both `network` and `docker_host`" if host.network else "neither `network` nor `docker_host`"
        yield Complaint(path, wrong, "write one of the two: where the host lives", at_key=True)
    elif host.network is not None and host.network not in settings.networks:
        mend = near(host.network, settings.networks, there_are(settings.networks, "networks"))
        yield Complaint((*path, "network"), f"there is no network `{host.network}`", mend)
    elif host.docker_host is not None and host.docker_host not in settings.docker_hosts:
        mend = near(host.docker_host, settings.docker_hosts, there_are(settings.docker_hosts, "docker_hosts"))
        yield Complaint((*path, "docker_host"), f"there is no docker host `{host.docker_host}`", mend)
    elif host.docker_host is not None and settings.docker_hosts[host.docker_host].network not in settings.networks:
        mend = "mend the docker host's `network` first"
        yield Complaint((*path, "docker_host"), f"`{host.docker_host}` lives in no network", mend)


def _ipv4(settings: Settings, path: KeyPath, host: Host) -> Iterator[Complaint]:
    if host.docker_host is not None:
        for key in ("ipv4", "mac"):
            if getattr(host, key) is not None:
                message = "a container is reached by its IPv6 address alone"
                yield Complaint((*path, key), message, f"delete `{key}`", at_key=True)
        return
    if host.ipv4 is None or host.network is None:
        return
    ipv4, at = settings.networks[host.network].ipv4, (*path, "ipv4")
    if ipv4 is None:
        mend = f"add `ipv4` to `{host.network}`, or delete it here"
        yield Complaint(at, f"`{host.network}` has no IPv4", mend)
    elif host.ipv4 not in ipv4.network:
        yield Complaint(
            at, f"{host.ipv4} is not in `{host.network}`, {ipv4.network}", f"write an address of {ipv4.network}"
        )
    elif owner := _reserved(host.ipv4, ipv4.ip, (ipv4.network.network_address, ipv4.network.broadcast_address)):
        yield Complaint(at, f"{host.ipv4} is {owner}", f"write another address of {ipv4.network}")
    elif _for_ingresses(settings.networks[host.network], host.ipv4):
        mend = "write an address outside of the transit network's pool"
        yield Complaint(at, f"{host.ipv4} is kept for an ingress", mend)


def _for_ingresses(network: Network, address: IPv4Address) -> bool:
    """The firewall gives each ingress a fixed address of the transit network's pool."""
    return network.transit and network.dhcp4 is not None and any(address in pool for pool in network.dhcp4.pool)


def _reserved(address: IPv4Address, firewall: IPv4Address, ends: tuple[IPv4Address, IPv4Address]) -> str:
    """Whose address it is already, empty when nobody's."""
    if address == firewall:
        return "the firewall's own address"
    return "the network's own or its broadcast address" if address in ends else ""


def _suffix(settings: Settings, path: KeyPath, host: Host) -> Iterator[Complaint]:
    if host.duid is not None and (host.suffix is None or host.network is None):
        yield Complaint((*path, "duid"), "DHCPv6 has no address for it", "add `network` and `suffix`, or delete `duid`")
    if host.suffix is None:
        return
    at, bits = (*path, "suffix"), plan6.SUFFIX_BITS
    if host.docker_host is not None:
        whole = settings.docker_containers(host.docker_host)
        bits = whole.max_prefixlen - whole.prefixlen if whole else plan6.CONTAINER_SUFFIX_BITS
    if int(host.suffix) >> bits:
        yield Complaint(at, f"{host.suffix} has more than the low {bits} bits", 'write the end alone, like "::5"')
    elif not int(host.suffix) or (host.docker_host is None and int(host.suffix) == 1):
        owner = (
            "the network's own address (RFC 4291: all routers)" if not int(host.suffix) else "the firewall's address"
        )
        yield Complaint(at, f"{host.suffix} is {owner}", 'write another suffix, like "::5"')
    elif host.network is not None and settings.network_prefix(host.network) is None:
        mend = f"add `subnet` to `{host.network}`, or delete `suffix`"
        yield Complaint(at, f"`{host.network}` has no IPv6 prefix", mend)
