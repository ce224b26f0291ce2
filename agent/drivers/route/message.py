"""Values → rtnetlink(7) requests that put them in or take them away."""

from __future__ import annotations

from functools import partial
from socket import AF_INET, AF_INET6
from typing import Any, Final

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, rtnl
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from agent.desired import WantedLink
from agent.drivers.route.layout import (
    IFA_ADDRESS,
    IFA_FLAGS,
    IFA_LOCAL,
    IFA_PROTO,
    IFADDR,
    NDA_DST,
    NDA_LLADDR,
    NDA_PROTOCOL,
    NDMSG,
    NEXTHOP_VIA,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
    RTA_VIA,
    RTMSG,
    attribute,
    number,
)
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
    destination = value.destination
    family = AF_INET if destination.version == 4 else AF_INET6  # noqa: PLR2004
    unicast = value.kind == "unicast"
    near = family == AF_INET and unicast and value.gateway is None
    scope = SCOPE_ANY if deletes else SCOPE_LINK if near else 0
    head = RTMSG.pack(
        family,
        destination.prefixlen,
        0,
        0,
        value.table if value.table < 256 else 0,  # noqa: PLR2004 - the attribute has the whole number
        PROTOCOL_OURS,
        scope,
        KINDS[value.kind],
        ONLINK if value.onlink and not deletes else 0,
    )
    parts = [head, number(RTA_TABLE, value.table), number(RTA_PRIORITY, value.metric)]
    if destination.prefixlen:
        parts.append(attribute(RTA_DST, destination.network_address.packed))
    if value.index is not None:
        parts.append(number(RTA_OIF, value.index))
    elif deletes and family == AF_INET6 and not unicast:
        parts.append(number(RTA_OIF, LOOPBACK))  # the kernel does not compare the type, but these are on lo
    if value.gateway is not None:
        if value.gateway.version == destination.version:
            parts.append(attribute(RTA_GATEWAY, value.gateway.packed))
        else:
            parts.append(attribute(RTA_VIA, NEXTHOP_VIA.pack(AF_INET6) + value.gateway.packed))
    if value.source is not None:
        parts.append(attribute(RTA_PREFSRC, value.source.packed))
    kind = rtnl.RTM_DELROUTE if deletes else rtnl.RTM_NEWROUTE
    return Request(partial(_route_text, value, flags), b"".join(parts), kind, flags, GONE if deletes else ALREADY)


def _route_text(value: Route, flags: int) -> str:
    via = f" via {value.gateway}" if value.gateway else ""
    return f"{_verb(flags)} {value.kind} route {value.destination}{via} in table {value.table}"


def address(index: int, ip: IPInterface, name: str, flags: int, *, nodad: bool = False, alone: bool = False) -> Request:
    """Add or (flags 0) delete an address; ours bear IFA_PROTO 98 where the kernel knows it (5.18).

    `alone`: without a route to its network.
    """
    deletes = flags == DELETE
    family = AF_INET if ip.version == 4 else AF_INET6  # noqa: PLR2004
    marks = NODAD if nodad else 0
    packed = ip.ip.packed
    message = b"".join(
        (
            IFADDR.pack(family, ip.network.prefixlen, marks, SCOPE_LINK if ip.ip.is_link_local else 0, index),
            attribute(IFA_LOCAL, packed),
            attribute(IFA_ADDRESS, packed),
            number(IFA_FLAGS, marks | (NOPREFIXROUTE if alone else 0)),  # all of them, where the header has but 8 bits
            attribute(IFA_PROTO, bytes([PROTOCOL_OURS])),
        )
    )
    kind = rtnl.RTM_DELADDR if deletes else rtnl.RTM_NEWADDR
    return Request(lambda: f"{_verb(flags)} address {ip} on {name}", message, kind, flags, GONE if deletes else ALREADY)


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
    for name, value_of in (
        ("FRA_FWMARK", value.fwmark),
        ("FRA_FWMASK", value.fwmask),
        ("FRA_SUPPRESS_PREFIXLEN", value.suppress_prefixlength),
    ):
        if value_of is not None:
            attributes.append([name, value_of])
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
    family = AF_INET if value.ip.version == 4 else AF_INET6  # noqa: PLR2004
    message = NDMSG.pack(family, value.index, 0 if deletes else PERMANENT, 0, 0)
    message += attribute(NDA_DST, value.ip.packed) + attribute(NDA_PROTOCOL, bytes([PROTOCOL_OURS]))
    if not deletes:
        message += attribute(NDA_LLADDR, bytes.fromhex(value.mac.replace(":", "")))
    kind = rtnl.RTM_DELNEIGH if deletes else rtnl.RTM_NEWNEIGH
    fine = GONE if deletes else frozenset[int]()
    return Request(lambda: f"{_verb(flags)} neighbour {value.ip} {value.mac} on {name}", message, kind, flags, fine)


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
