"""One look at an ingress: the configuration's part, the links in their roles, and what they have."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Network

from agent.config import PppoeUplink, StaticUplink, WireguardUplink
from agent.desired import WantedLink
from agent.model import PROTOCOL_RA, TABLE_MAIN, Address, Family, IPAddress, Lease, State
from agent.plan.ingress_delegation import delegations
from agent.plan.ingress_fixed import PPPOE_MTU, UNDERLAY, Fixed
from agent.plan.interface import Role, resolve
from agent.plan.ipv6_mode import Ladder, climb

_PPPOE_HEADER = 8
_NETWORK = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """`underlay` is the link below a PPP session, else None. `near`: addresses on the DMZ.

    `own4`: the uplink's IPv4 addresses with their deadlines, the one to translate to first.
    """

    share: Fixed
    state: State
    underlay: Role | None
    wan: Role
    dmz: Role
    near: tuple[Address, ...]
    own4: tuple[tuple[IPv4Interface, float | None], ...]
    ladder: Ladder

    def default_route(self, family: Family) -> tuple[bool, IPAddress | None]:
        """Whether a default route leads through the uplink, and its gateway (None on a point-to-point link)."""
        if self.wan.link is None:
            return False, None
        index = self.wan.link.index
        found = [
            route
            for route in self.state.routes
            if route.index == index
            and route.table == TABLE_MAIN
            and route.kind == "unicast"
            and route.destination.version == family
            and not route.destination.prefixlen
        ]
        best = min(found, key=lambda route: (route.metric, str(route.gateway)), default=None)
        return best is not None, best.gateway if best is not None else None

    def lease(self, family: Family) -> Lease | None:
        """What the DHCP client of the uplink knows beyond netlink."""
        return self.state.leases.get((self.wan.ifname, family))


def look(share: Fixed, state: State, now: float) -> Seen:
    """See what is, and choose the IPv6 mode."""
    underlay, wan, dmz = _roles(share, state)
    far = state.addresses_of(wan.link.index) if wan.link is not None else ()
    near = state.addresses_of(dmz.link.index) if dmz.link is not None else ()
    downstream = frozenset(link.index for link in (dmz.link, state.link("lo")) if link is not None)
    seen = delegations(state, share.wish.site, downstream)
    told = _told(state, dmz) if share.wish.addressing else ()
    ladder = climb(share.wish, (*share.delegations, *seen), far, state.memory.npt, now, told)
    return Seen(share, state, underlay, wan, dmz, near, _own4(far, now, _primary(share)), ladder)


def _told(state: State, dmz: Role) -> tuple[IPv6Network, ...]:
    """The global /64s that the firewall has told the way to (RFC 4191)."""
    if dmz.link is None:
        return ()
    found = (
        route.destination
        for route in state.routes
        if route.protocol == PROTOCOL_RA and route.index == dmz.link.index and route.kind == "unicast"
    )
    return tuple(prefix for prefix in found if isinstance(prefix, IPv6Network) and prefix.prefixlen == _NETWORK)


def _roles(share: Fixed, state: State) -> tuple[Role | None, Role, Role]:
    uplink = share.uplink
    dmz = resolve(state, share.transit_name, uplink.trunk, vlan=share.transit.vlan)
    if isinstance(uplink, WireguardUplink):
        # The service makes the link; then its MTU is ours.
        tunnel = state.link("wan")
        wanted = () if tunnel is None else (WantedLink("wan", mtu=uplink.mtu),)
        return None, Role("wan", tunnel, wanted), dmz
    if isinstance(uplink, PppoeUplink):
        mtu = share.mtu + _PPPOE_HEADER if share.mtu > PPPOE_MTU else None  # RFC 4638
        underlay = resolve(state, UNDERLAY, uplink.interface, vlan=uplink.vlan, mac=uplink.set_mac, mtu=mtu)
        return underlay, Role("wan", state.link("wan")), dmz
    return None, resolve(state, "wan", uplink.interface, vlan=uplink.vlan, mac=uplink.set_mac, mtu=uplink.mtu), dmz


def _primary(share: Fixed) -> IPv4Interface | None:
    uplink = share.uplink
    return uplink.ipv4.address if isinstance(uplink, StaticUplink) and uplink.ipv4 is not None else None


def _own4(
    far: tuple[Address, ...], now: float, primary: IPv4Interface | None
) -> tuple[tuple[IPv4Interface, float | None], ...]:
    """The one that is written first, then the oldest: flows keep it when another comes."""
    live = sorted(
        (address.ip != primary, address.created, int(address.ip.ip), address.ip, address.valid_until)
        for address in far
        if isinstance(address.ip, IPv4Interface)
        and address.scope == 0
        and (address.valid_until is None or address.valid_until > now)
    )
    return tuple((ip, until) for *_, ip, until in live)
