"""What a person must know of an uplink: what is missing or less than was asked for, and the way to mend it."""

from __future__ import annotations

from agent.config import PppoeUplink, StaticUplink, WireguardUplink
from agent.desired import Problem
from agent.plan.ingress_seen import Seen


def problems(seen: Seen) -> tuple[Problem, ...]:
    """In a fixed order: the links, IPv4, IPv6, the DMZ."""
    wan = seen.wan.link
    found = [role.problem for role in (seen.underlay, seen.wan, seen.dmz) if role is not None and role.problem]
    up = wan is not None and wan.up and wan.carrier
    # While pppd dials, its link is there without a carrier.
    dialling = not up and isinstance(seen.share.uplink, PppoeUplink)
    if seen.wan.problem is None and (wan is None or dialling):
        found.append(_no_tunnel(seen))
    elif wan is not None and not up:
        found.append(Problem("link/wan", f"{wan.name} has no carrier", "look at the cable, the modem or the VM"))
    elif wan is not None:
        found += [*_ipv4(seen), *_ipv6(seen)]
    if seen.dmz.link is not None and not any(address.ip.version == 4 for address in seen.near):  # noqa: PLR2004
        hint = "look whether the firewall serves DHCP there: `routerctl status` on the firewall"
        found.append(Problem("dmz", f"no IPv4 address on {seen.dmz.ifname} (DMZ)", hint))
    return tuple(found)


def _no_tunnel(seen: Seen) -> Problem:
    if isinstance(seen.share.uplink, PppoeUplink):
        return Problem("link/wan", "no PPP session", "look at the log of pppd: user name, password, VLAN")
    return Problem("link/wan", "no tunnel link `wan`", "look at the log of the wireguard service")


def _ipv4(seen: Seen) -> list[Problem]:
    uplink = seen.share.uplink
    if isinstance(uplink, StaticUplink) and uplink.ipv4 is None:
        return []
    if isinstance(uplink, WireguardUplink) and all(address.version == 6 for address in uplink.addresses):  # noqa: PLR2004
        return []
    if not seen.own4:
        client = "pppd: does the ISP speak IPCP?" if isinstance(uplink, PppoeUplink) else "dhcpcd: does the ISP answer?"
        return [Problem("ipv4", "no IPv4 address on the uplink", f"look at the log of {client}")]
    found = []
    for address, _ in seen.own4:
        inner = next((network for network in seen.share.static.internal4 if address.ip in network), None)
        if inner is not None:
            hint = f"choose another `ipv4` for the network that has {inner}"
            found.append(Problem("ipv4", f"the uplink's address {address.ip} lies in our own {inner}", hint))
    if not seen.default_route(4)[0]:
        hint = "the ISP must send a router (DHCP option 3)"
        found.append(Problem("ipv4", "no IPv4 default route through the uplink", hint))
    return found


def _ipv6(seen: Seen) -> list[Problem]:
    uplink, ladder = seen.share.uplink, seen.ladder
    if isinstance(uplink, StaticUplink) and uplink.ipv6 is None:
        return []
    found = []
    if ladder.mode == "none":
        hint = "ask the ISP for a delegated prefix (DHCPv6-PD), or allow `nat66: auto`"
        what = "waiting for the delegation" if ladder.again_at else "no prefix to translate to, and no NAT66"
        found.append(Problem("ipv6", what, hint))
    elif seen.share.hint is not None and ladder.delegation is None:
        hint = "ask the ISP whether it delegates prefixes; `delegation: none` stops asking"
        found.append(Problem("ipv6", "no prefix was delegated: all networks share one address by NAT66", hint))
    if ladder.delegation is not None and ladder.mode in {"networks", "nat66"}:
        found += _too_small(seen)
    if ladder.mode != "none" and not seen.default_route(6)[0]:
        hint = "the ISP's router advertisement brings it: look at the log of dhcpcd"
        found.append(Problem("ipv6", "no IPv6 default route through the uplink", hint))
    return found


def _too_small(seen: Seen) -> list[Problem]:
    """RFC 7084 WPD-2: a prefix smaller than asked for is used, and said."""
    ladder = seen.ladder
    # Of those that hand out global addresses only the firewall speaks.
    wanted = (name for name, _ in seen.share.wish.networks if seen.share.wish.addressing.get(name) != "global")
    left = [name for name in wanted if name not in ladder.ids]
    if not left or ladder.delegation is None:
        return []
    way = "share one address by NAT66" if ladder.nat66 else "have no IPv6 on this uplink"
    message = f"{ladder.delegation.prefix} is too small for all networks: {', '.join(left)} {way}"
    hint = "ask the ISP for a shorter prefix, or change `priority` to choose who gets a /64"
    return [Problem("ipv6", message, hint)]
