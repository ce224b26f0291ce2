"""Networks of the firewall: their links, addresses and sysctls, and what is unreachable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType

from agent.config.settings import Settings
from agent.desired import WantedAddress, WantedLink
from agent.desired.firewall import FIREWALL_LINK_LOCAL
from agent.model import Link, Route, State
from agent.plan import docker_hosts
from agent.plan.interface import Role, resolve
from agent.plan.same import Same

# The highest metric: any other route wins. Without it a packet to an unused subnet goes to an ingress and back.
LAST_METRIC = 4294967295

# rp_filter drops IPv4 here, also as 2 (loose): table main has no default route. fwmark_reflect: our own ICMP errors and
# resets have no route without the mark; tcp_fwmark_accept: nor have accepted connections. RFC 6092 REC-12 to REC-37,
# RFC 4787 REQ-5: idle times in seconds, where the kernel's own are shorter.
GLOBAL_SYSCTLS = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/fwmark_reflect", "1"),
    ("net/ipv6/fwmark_reflect", "1"),
    ("net/ipv4/tcp_fwmark_accept", "1"),
    ("net/netfilter/nf_conntrack_udp_timeout", "120"),
    ("net/netfilter/nf_conntrack_udp_timeout_stream", "180"),
    # RFC 5508 REQ-2: an ICMP query at least 60 s.
    ("net/netfilter/nf_conntrack_icmp_timeout", "60"),
    ("net/netfilter/nf_conntrack_icmpv6_timeout", "60"),
    ("net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "240"),
    ("net/netfilter/nf_conntrack_tcp_timeout_syn_recv", "240"),
    ("net/netfilter/nf_conntrack_tcp_timeout_fin_wait", "240"),
    ("net/netfilter/nf_conntrack_tcp_timeout_close_wait", "240"),
    ("net/netfilter/nf_conntrack_tcp_timeout_last_ack", "240"),
    ("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "240"),
)


def device_sysctls(device: str) -> tuple[tuple[str, str], ...]:
    """The sysctls of one of our links. Docker disables IPv6 on networks of its own without IPv6."""
    return (
        (f"net/ipv6/conf/{device}/disable_ipv6", "0"),
        (f"net/ipv6/conf/{device}/forwarding", "1"),
        (f"net/ipv6/conf/{device}/accept_ra", "0"),
        (f"net/ipv6/conf/{device}/accept_redirects", "0"),
        (f"net/ipv4/conf/{device}/rp_filter", "0"),
        (f"net/ipv4/conf/{device}/send_redirects", "0"),
        (f"net/ipv4/conf/{device}/accept_redirects", "0"),
    )


def roles(settings: Settings, state: State) -> Mapping[str, Role]:
    """Network → the link that plays it.

    The trunk carries the networks that have a `vlan`; where the transit network has none, the trunk is the DMZ itself.
    """
    return _roles(Same(settings), Same(state.links))


@lru_cache(maxsize=4)
def _roles(settings: Same[Settings], links: Same[Mapping[int, Link]]) -> Mapping[str, Role]:
    found, state = {}, State(links=links.value)
    for name, network in settings.value.networks.items():
        on_trunk = network.vlan is not None or network.transit
        match = network.interface or (settings.value.firewall.trunk if on_trunk else None)
        found[name] = resolve(state, name, match, vlan=network.vlan)
    return MappingProxyType(found)


def wanted_links(found: Mapping[str, Role]) -> tuple[WantedLink, ...]:
    """All links to make or hold, each once, a trunk before its VLANs."""
    return tuple(dict.fromkeys(link for role in found.values() for link in role.wanted))


def subnets6(settings: Settings, name: str) -> tuple[IPv6Network, ...]:
    """The IPv6 prefixes of a network: its /64 and those of its docker hosts, neighbouring ones made one.

    Last, what it delegates to routers downstream: their hosts are that network's too.
    """
    own, pool = settings.network_prefix(name), settings.delegation_pool(name)
    machines = docker_hosts.fleet(settings).prefixes.get(name, ())
    delegated = () if pool is None else (pool,)
    if own is None:
        return (*machines, *delegated)
    return (own, *(prefix for prefix in machines if not prefix.subnet_of(own)), *delegated)


def addresses(settings: Settings, links: dict[str, Link]) -> frozenset[WantedAddress]:
    """The firewall's addresses: IPv4 as written, ::1 of the /64 and of each docker host's prefix, fe80::1 on the DMZ.

    fe80::1 is used at once (the ingresses route to it): no duplicate address detection.
    """
    wanted = set()
    for name, link in links.items():
        network = settings.networks[name]
        if network.ipv4 is not None:
            wanted.add(WantedAddress(link.index, network.ipv4))
        if (gateway := settings.firewall_address6(name)) is not None:
            wanted.add(WantedAddress(link.index, gateway))
        if network.transit:
            wanted.add(WantedAddress(link.index, FIREWALL_LINK_LOCAL, nodad=True))
    return frozenset(wanted | docker_hosts.addresses(settings, links))


def main_routes(settings: Settings, links: dict[str, Link]) -> frozenset[Route]:
    """Table main: docker hosts and their containers; all of the plan that is nowhere is unreachable."""
    internal4 = (network.ipv4.network for network in settings.networks.values() if network.ipv4 is not None)
    internal: list[IPv4Network | IPv6Network] = [settings.site.prefix, *internal4]
    routes = {Route(prefix, metric=LAST_METRIC, kind="unreachable") for prefix in internal}
    return frozenset(routes | docker_hosts.routes(settings, links))


def sysctls(links: dict[str, Link]) -> tuple[tuple[str, str], ...]:
    """All sysctls, as paths below /proc/sys and their values."""
    devices = sorted(link.name for link in links.values())
    return (*GLOBAL_SYSCTLS, *(pair for device in devices for pair in device_sysctls(device)))
