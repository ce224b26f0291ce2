"""`uplinks`: addresses, MTU and probing of each."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from agent.config.cross import further4
from agent.config.finding import Complaint, KeyPath
from agent.config.probe import Probe
from agent.config.settings import Settings
from agent.config.uplink import AnyUplink, PppoeUplink, StaticUplink, WireguardUplink
from agent.desired.probe import Rounds
from agent.model import IPAddress, IPNetwork

_IPV6_MTU = 1280  # RFC 8200 section 5
_PPPOE_MTU = 1500  # RFC 4638
_WIREGUARD_MTU = 1440  # 1500 less the outer IPv4, UDP and WireGuard's own header
_SHORTEST_INTERVAL = 0.1
_LONGEST_KEEPALIVE = 65535


def check(settings: Settings) -> Iterator[Complaint]:
    """Each uplink by itself."""
    for name, uplink in settings.uplinks.items():
        path: KeyPath = ("uplinks", name)
        yield from _mtu(path, uplink)
        if isinstance(uplink, StaticUplink):
            yield from _static(path, uplink)
            yield from further4.check(settings, (*path, "ipv4", "extra"), uplink)
        if isinstance(uplink, WireguardUplink):
            yield from _tunnel(path, uplink)
        if uplink.probe:
            yield from _probe(settings, (*path, "probe"), uplink.probe)


def _mtu(path: KeyPath, uplink: AnyUplink) -> Iterator[Complaint]:
    at, mtu = (*path, "mtu"), uplink.mtu
    if mtu is None:
        return
    if mtu < _IPV6_MTU and uplink.ipv6 is not None:
        yield Complaint(at, f"an MTU of {mtu}: IPv6 needs {_IPV6_MTU}", f"write at least {_IPV6_MTU}")
    if isinstance(uplink, PppoeUplink) and mtu > _PPPOE_MTU:
        yield Complaint(at, f"an MTU of {mtu} on PPPoE", "write 1492, or 1500 where the ISP has RFC 4638")
    if isinstance(uplink, WireguardUplink) and mtu > _WIREGUARD_MTU:
        message = f"an MTU of {mtu}: the outer packets are larger than most uplinks carry"
        yield Complaint(at, message, "write 1420, or less over PPPoE (1412)", level="warning")


def _static(path: KeyPath, uplink: StaticUplink) -> Iterator[Complaint]:
    if uplink.ipv4 is None and uplink.ipv6 is None:
        yield Complaint(
            path, "a static uplink without addresses", "add `ipv4` or `ipv6`, each with a gateway", at_key=True
        )
    if uplink.ipv4:
        yield from _gateway((*path, "ipv4", "gateway"), uplink.ipv4.address, uplink.ipv4.gateway)
    if uplink.ipv6:
        yield from _gateway((*path, "ipv6", "gateway"), uplink.ipv6.address, uplink.ipv6.gateway)
        if uplink.ipv6.neighbours == "proxy" and uplink.ipv6.prefix is None:
            message, mend = "an NDP proxy for no prefix", "add `prefix: …`, or take `neighbours: routed`"
            yield Complaint((*path, "ipv6", "neighbours"), message, mend)


def _gateway(
    path: KeyPath, address: IPv4Interface | IPv6Interface, gateway: IPv4Address | IPv6Address
) -> Iterator[Complaint]:
    host = address.network.prefixlen == address.max_prefixlen
    if gateway == address.ip:
        yield Complaint(path, f"{gateway} is the uplink's own address", "write the provider's router")
    elif not (host or gateway.is_link_local or gateway in address.network):
        mend = f"write a gateway of {address.network}, or the address as {address.ip}/{address.max_prefixlen}"
        yield Complaint(path, f"{gateway} is not on the link of {address}", mend)


def _tunnel(path: KeyPath, uplink: WireguardUplink) -> Iterator[Complaint]:
    if not uplink.addresses:
        yield Complaint((*path, "addresses"), "a tunnel without addresses", "write them as the VPN provider gave them")
    keepalive = uplink.peer.keepalive
    if keepalive is not None and not (1 <= keepalive <= _LONGEST_KEEPALIVE and keepalive.is_integer()):
        yield Complaint(
            (*path, "peer", "keepalive"), "WireGuard counts it in whole seconds", "write 1s to 65535s, like 25s"
        )


def _probe(settings: Settings, path: KeyPath, probe: Probe) -> Iterator[Complaint]:
    if not probe.targets:
        mend = "name what answers beyond the ISP, or delete `probe`: the next hop alone is watched then"
        yield Complaint((*path, "targets"), "a probe without targets", mend)
    if probe.interval < _SHORTEST_INTERVAL:
        message = "more than ten rounds a second are a flood to the targets"
        yield Complaint((*path, "interval"), message, "write 100ms or more")
    if not 0 < probe.timeout <= probe.interval:
        message = "a round must end before the next one begins"
        yield Complaint((*path, "timeout"), message, "write a timeout of at most the interval")
    late = Rounds(interval=probe.interval, fail_after=probe.fail_after).late
    if probe.degraded_latency is not None and probe.degraded_latency >= late:
        message = f"an answer after {late:g} s counts for none: the uplink is down before it is degraded by this"
        mend = f"write less than {late:g}s, or a longer `interval`"
        yield Complaint((*path, "degraded_latency"), message, mend, level="warning")
    for family in (4, 6):
        number = sum(target.address is None or target.address.version == family for target in probe.targets)
        if 0 < number < probe.quorum:
            message = f"a quorum of {probe.quorum}, but {number} of the targets can answer over IPv{family}"
            yield Complaint((*path, "quorum"), message, f"write at most {number}, or name more targets")
    inside: list[IPNetwork] = [net for network in settings.networks.values() if (net := network.ipv4_network)]
    inside.append(settings.site.prefix)
    for number, target in enumerate(probe.targets):
        if target.address is not None and not _outside(target.address, inside):
            message = f"{target.address} is not outside: it says nothing of the uplink"
            yield Complaint((*path, "targets", number), message, "write an address beyond the ISP")
        elif target in probe.targets[:number]:
            yield Complaint((*path, "targets", number), f"{target} is listed twice", "delete one")


def _outside(address: IPAddress, inside: list[IPNetwork]) -> bool:
    unusable = address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local
    return not unusable and not any(address in net for net in inside)
