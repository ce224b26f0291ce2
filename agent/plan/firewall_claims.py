"""Claims of the ingresses, checked: who has an address on the DMZ, whose is an outside prefix."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from agent.config.settings import Settings
from agent.config.uplink import StaticUplink
from agent.desired import Problem
from agent.desired.firewall import FIREWALL_LINK_LOCAL
from agent.model import IPAddress, IPNetwork, Link, State, UplinkLink


def reserved(settings: Settings, marks: Mapping[str, int]) -> dict[str, IPv4Address]:
    """Uplink → the DMZ address that our DHCP server keeps for it: the pool's first and its mark - 1."""
    transit = settings.transit
    if transit is None or transit.dhcp4 is None:
        return {}
    pool = transit.dhcp4.pool[0]
    return {name: pool.first + mark - 1 for name, mark in marks.items() if mark <= pool.size}


def _range(network: IPNetwork) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


@dataclass(frozen=True, slots=True)
class Member:
    """An ingress on the DMZ, as far as what it says holds."""

    mac: str = ""
    ipv4: IPv4Address | None = None
    link_local: IPv6Address | None = None


class Claims:
    """The claims of one plan: the first that asks has it. `refused` gathers what people must know."""

    def __init__(
        self,
        settings: Settings,
        marks: Mapping[str, int],
        dmz: Link | None,
        state: State,
    ) -> None:
        self.site = settings.site.prefix
        self.refused: list[Problem] = []
        # Ranges as numbers: `overlaps` of ipaddress takes microseconds, and a plan asks thousands of times.
        internal4 = ((n, net.ipv4.network) for n, net in settings.networks.items() if net.ipv4 is not None)
        self._internal4 = sorted((*_range(network), name) for name, network in internal4)
        self._transit = settings.transit
        self._reserved = reserved(settings, {name: mark for name, mark in marks.items() if name in settings.uplinks})
        self._keeper = {address: name for name, address in self._reserved.items()}
        self._configured = {
            name: trunk.mac
            for name, uplink in settings.uplinks.items()
            if (trunk := uplink.trunk) is not None and trunk.mac is not None
        }
        self._owner: dict[IPAddress | str, str] = {mac: name for name, mac in self._configured.items()}
        # Further addresses of static uplinks: the configuration says them, an ingress tells of its first alone.
        self.further4 = {
            name: tuple(IPv4Network(extra.address) for extra in uplink.ipv4.extra)
            for name, uplink in settings.uplinks.items()
            if isinstance(uplink, StaticUplink) and uplink.ipv4 is not None
        }
        self._dmz = dmz
        self._neighbours = state.neighbours
        self._claimed = {name: peer.link.ipv4 for name, peer in state.peers.items() if peer.link is not None}
        self._outside: dict[int, list[tuple[int, int, IPNetwork, str]]] = {4: [], 6: []}

    def _refuse(self, name: str, message: str, hint: str) -> bool:
        self.refused.append(Problem(f"uplink/{name}", message, hint))
        return False

    def _first(self, name: str, what: str, key: IPAddress | str) -> bool:
        owner = self._owner.setdefault(key, name)
        if owner == name:
            return True
        return self._refuse(
            name,
            f"its ingress says it has {what} {key}, which is that of {owner}: not used",
            f"give {name} and {owner} different addresses on the DMZ",
        )

    def member(self, name: str, link: UplinkLink) -> Member:
        """The ingress on the DMZ: by a MAC that holds, with those of its addresses that are its own."""
        mac = self._mac(name, link)
        if mac is None:
            return Member()
        ipv4 = link.ipv4 if link.ipv4 is not None and self._ipv4(name, link.ipv4) else None
        link_local = link.link_local
        if link_local is not None and not self._link_local(name, link_local):
            link_local = None
        return Member(mac, ipv4, link_local)

    def _mac(self, name: str, link: UplinkLink) -> str | None:
        """Its MAC as configured, else as it says itself unless a neighbour on the DMZ shows otherwise; None: a lie."""
        said = link.mac.lower()
        configured = self._configured.get(name)
        if configured is not None:
            if said in {"", configured}:
                return configured
            self._refuse(
                name,
                f"its ingress says its MAC on the DMZ is {said}, the configuration says {configured}: not used",
                f"correct uplinks.{name}.trunk.mac, or find out who speaks for {name}",
            )
            return None
        for address in (link.ipv4, link.link_local):
            seen = self._seen(address)
            if said and seen not in {"", said}:
                self._refuse(
                    name,
                    f"its ingress says its MAC on the DMZ is {said}, but {address} answers from {seen}: not used",
                    f"give the MAC of its NIC in uplinks.{name}.trunk.mac, or find out who has {address}",
                )
                return None
        return said if not said or self._first(name, "the MAC", said) else None

    def _seen(self, address: IPAddress | None) -> str:
        """The MAC that answers for an address on the DMZ now. Our own permanent entries prove nothing."""
        if self._dmz is None or address is None:
            return ""
        found = self._neighbours.get((self._dmz.index, address))
        return found.mac if found is not None and found.state == "reachable" else ""

    def _link_local(self, name: str, address: IPv6Address) -> bool:
        if not address.is_link_local or address == FIREWALL_LINK_LOCAL.ip:
            return self._refuse(
                name,
                f"its ingress says it has {address} on the DMZ, which is no link-local address of its own: not used",
                "let the kernel of the ingress make its link-local address",
            )
        return self._first(name, "the address", address)

    def _ipv4(self, name: str, address: IPv4Address) -> bool:
        """An IPv4 address on the DMZ: in its network, not ours, not kept for another."""
        transit = self._transit
        if transit is None or transit.ipv4 is None or address not in transit.ipv4.network:
            where = transit.ipv4.network if transit is not None and transit.ipv4 is not None else "a DMZ without IPv4"
            return self._refuse(
                name,
                f"its ingress says it has {address} on the DMZ, which is outside {where}: not used",
                "let the ingress take its DMZ address by DHCP",
            )
        if address == transit.ipv4.ip:
            return self._refuse(
                name,
                f"its ingress says it has {address} on the DMZ, which is the firewall's: not used",
                "let the ingress take its DMZ address by DHCP",
            )
        keeper = self._keeper.get(address, name)
        if keeper != name and self._claimed.get(keeper) == address:
            return self._refuse(
                name,
                f"its ingress says it has {address} on the DMZ, which is kept for {keeper}: not used",
                f"restart the DHCP client of {name}; {self._reserved.get(name, 'no address')} is kept for it",
            )
        expected = self._reserved.get(name, address)
        if address != expected and self._first(name, "the address", address):
            # A lease from before, say: it is used until the client renews it.
            self._refuse(
                name,
                f"its ingress has {address} on the DMZ, {expected} is kept for it",
                f"nothing if the lease is about to be renewed; else restart the DHCP client of {name}",
            )
        return self._first(name, "the address", address)

    def _network(self, first: int, last: int) -> str:
        """The network of ours that a range of IPv4 addresses overlaps, empty for none. Ours do not overlap."""
        place = bisect_right(self._internal4, last, key=lambda held: held[0])
        if not place or self._internal4[place - 1][1] < first:
            return ""
        return f"network {self._internal4[place - 1][2]}"

    def outside(self, name: str, prefix: IPNetwork) -> bool:
        """An outside address or prefix: not of the plan, not another uplink's."""
        first, last = _range(prefix)
        if isinstance(prefix, IPv6Network):
            inside = "site.prefix" if prefix.overlaps(self.site) else ""
        else:
            inside = self._network(first, last)
        if inside:
            return self._refuse(
                name,
                f"its {prefix} overlaps {inside}: nothing inside reaches it by that address",
                f"choose another {inside.split()[0]}, or bridge mode in the ISP's modem",
            )
        for start, end, other, owner in self._outside[prefix.version]:
            if start <= last and first <= end and owner != name:
                return self._refuse(
                    name,
                    f"its {prefix} overlaps {other} of {owner}: not used for {name}",
                    f"ask the ISPs why {name} and {owner} were given the same addresses",
                )
        self._outside[prefix.version].append((first, last, prefix, name))
        return True
