"""Values → rtnetlink(7) requests that put them in or take them away."""

from __future__ import annotations

from socket import AF_INET, AF_INET6
from typing import Any, Final

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, rtnl
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agent.desired import WantedLink
from agent.drivers.route.request import ALREADY, GONE, Request
from agent.model import LINK_OURS, PROTOCOL_OURS, SCOPE_LINK, IPInterface, Neighbour, PolicyRule, Route

CREATE: Final = NLM_F_CREATE | NLM_F_EXCL
REPLACE: Final = NLM_F_CREATE | NLM_F_REPLACE
DELETE: Final = 0
KINDS: Final = {"unicast": 1, "local": 2, "blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9}
SCOPE_ANY: Final = 255
LOOPBACK: Final = 1  # the ifindex of lo in every namespace
ONLINK: Final = 4
NODAD: Final = 0x02
NOPREFIXROUTE: Final = 0x200
PERMANENT: Final = 0x80
TO_TABLE: Final = 1
IFF_UP: Final = 1


def route(value: Route, flags: int) -> Request:
    """Add, replace or (flags 0) delete a route; a deletion names everything that the kernel compares."""
    deletes = flags == DELETE
    family = AF_INET if value.destination.version == 4 else AF_INET6  # noqa: PLR2004
    unicast = value.kind == "unicast"
    message = _new(rtmsg)
    message["family"] = family
    message["dst_len"] = value.destination.prefixlen
    message["table"] = value.table if value.table < 256 else 0  # noqa: PLR2004 - the attribute has the whole number
    message["proto"] = PROTOCOL_OURS
    message["type"] = KINDS[value.kind]
    message["flags"] = ONLINK if value.onlink and not deletes else 0
    if deletes:
        message["scope"] = SCOPE_ANY
    else:
        message["scope"] = SCOPE_LINK if family == AF_INET and unicast and value.gateway is None else 0
    attributes: list[list[Any]] = [["RTA_TABLE", value.table], ["RTA_PRIORITY", value.metric]]
    if value.destination.prefixlen:
        attributes.append(["RTA_DST", str(value.destination.network_address)])
    if value.index is not None:
        attributes.append(["RTA_OIF", value.index])
    elif deletes and family == AF_INET6 and not unicast:
        attributes.append(["RTA_OIF", LOOPBACK])  # the kernel does not compare the type, but these are on lo
    if value.gateway is not None:
        if value.gateway.version == value.destination.version:
            attributes.append(["RTA_GATEWAY", str(value.gateway)])
        else:
            attributes.append(["RTA_VIA", {"family": AF_INET6, "addr": str(value.gateway)}])
    if value.source is not None:
        attributes.append(["RTA_PREFSRC", str(value.source)])
    message["attrs"] = attributes
    via = f" via {value.gateway}" if value.gateway else ""
    what = f"{_verb(flags)} {value.kind} route {value.destination}{via} in table {value.table}"
    kind = rtnl.RTM_DELROUTE if deletes else rtnl.RTM_NEWROUTE
    return Request(what, message, kind, flags, GONE if deletes else ALREADY)


def address(index: int, ip: IPInterface, name: str, flags: int, *, nodad: bool = False, alone: bool = False) -> Request:
    """Add or (flags 0) delete an address; ours bear IFA_PROTO 98 where the kernel knows it (5.18).

    `alone`: without a route to its network.
    """
    deletes = flags == DELETE
    message = _new(ifaddrmsg)
    message["family"] = AF_INET if ip.version == 4 else AF_INET6  # noqa: PLR2004
    message["prefixlen"] = ip.network.prefixlen
    message["flags"] = NODAD if nodad else 0  # the attribute has all of them
    whole = message["flags"] | (NOPREFIXROUTE if alone else 0)
    message["scope"] = SCOPE_LINK if ip.ip.is_link_local else 0
    message["index"] = index
    message["attrs"] = [
        ["IFA_LOCAL", str(ip.ip)],
        ["IFA_ADDRESS", str(ip.ip)],
        ["IFA_FLAGS", whole],
        ["IFA_PROTO", PROTOCOL_OURS],
    ]
    kind = rtnl.RTM_DELADDR if deletes else rtnl.RTM_NEWADDR
    return Request(f"{_verb(flags)} address {ip} on {name}", message, kind, flags, GONE if deletes else ALREADY)


def rule(value: PolicyRule, flags: int) -> Request:
    """Add or (flags 0) delete a policy rule."""
    deletes = flags == DELETE
    message = _new(fibmsg)
    message["family"] = AF_INET if value.family == 4 else AF_INET6  # noqa: PLR2004
    message["table"] = value.table if value.table < 256 else 0  # noqa: PLR2004 - the attribute has the whole number
    message["action"] = TO_TABLE
    attributes: list[list[Any]] = [
        ["FRA_TABLE", value.table],
        ["FRA_PRIORITY", value.priority],
        ["FRA_PROTOCOL", PROTOCOL_OURS],
    ]
    for name, number in (
        ("FRA_FWMARK", value.fwmark),
        ("FRA_FWMASK", value.fwmask),
        ("FRA_SUPPRESS_PREFIXLEN", value.suppress_prefixlength),
    ):
        if number is not None:
            attributes.append([name, number])
    if value.iif:
        attributes.append(["FRA_IIFNAME", value.iif])
    if value.source is not None:
        message["src_len"] = value.source.prefixlen
        attributes.append(["FRA_SRC", str(value.source.network_address)])
    message["attrs"] = attributes
    what = f"{_verb(flags)} IPv{value.family} rule {value.priority} to table {value.table}"
    kind = rtnl.RTM_DELRULE if deletes else rtnl.RTM_NEWRULE
    return Request(what, message, kind, flags, GONE if deletes else ALREADY)


def neighbour(value: Neighbour, name: str, flags: int) -> Request:
    """Put in (over whatever is there) or (flags 0) delete a permanent neighbour entry."""
    deletes = flags == DELETE
    message = _new(ndmsg)
    message["family"] = AF_INET if value.ip.version == 4 else AF_INET6  # noqa: PLR2004
    message["ifindex"] = value.index
    message["state"] = 0 if deletes else PERMANENT
    message["attrs"] = [["NDA_DST", str(value.ip)], ["NDA_PROTOCOL", PROTOCOL_OURS]]
    if not deletes:
        message["attrs"].append(["NDA_LLADDR", value.mac])
    kind = rtnl.RTM_DELNEIGH if deletes else rtnl.RTM_NEWNEIGH
    what = f"{_verb(flags)} neighbour {value.ip} {value.mac} on {name}"
    return Request(what, message, kind, flags, GONE if deletes else frozenset())


def vlan(wanted: WantedLink) -> Request:
    """Make a VLAN link, with our alias on it."""
    message = _new(ifinfmsg)
    attributes: list[list[Any]] = [
        ["IFLA_IFNAME", wanted.name],
        ["IFLA_LINK", wanted.parent],
        ["IFLA_IFALIAS", LINK_OURS],
        [
            "IFLA_LINKINFO",
            {"attrs": [["IFLA_INFO_KIND", "vlan"], ["IFLA_INFO_DATA", {"attrs": [["IFLA_VLAN_ID", wanted.vlan]]}]]},
        ],
    ]
    if wanted.mac is not None:
        attributes.append(["IFLA_ADDRESS", wanted.mac])
    if wanted.mtu is not None:
        attributes.append(["IFLA_MTU", wanted.mtu])
    if wanted.up:
        message["flags"] = message["change"] = IFF_UP
    message["attrs"] = attributes
    return Request(f"make VLAN {wanted.vlan} as {wanted.name}", message, rtnl.RTM_NEWLINK, CREATE, ALREADY)


def link(index: int, what: str, *, up: bool | None = None, mac: str | None = None, mtu: int | None = None) -> Request:
    """Change a link: its state, its MAC, its MTU (bytes)."""
    message = _new(ifinfmsg)
    message["index"] = index
    if up is not None:
        message["flags"] = IFF_UP if up else 0
        message["change"] = IFF_UP
    attributes = [["IFLA_ADDRESS", mac]] if mac is not None else []
    message["attrs"] = attributes + ([["IFLA_MTU", mtu]] if mtu is not None else [])
    return Request(what, message, rtnl.RTM_NEWLINK, 0, frozenset())


def link_gone(index: int, name: str) -> Request:
    """Delete a link."""
    message = _new(ifinfmsg)
    message["index"] = index
    return Request(f"delete link {name}", message, rtnl.RTM_DELLINK, DELETE, GONE)


def _verb(flags: int) -> str:
    return {DELETE: "delete", CREATE: "add", REPLACE: "replace"}[flags]


def _new(message: Any) -> Any:
    return message()
