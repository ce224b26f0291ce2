"""Roles and links: which network device is `wan`, `dmz` or a network, and what must be made for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.desired import Problem, WantedLink
from agent.model import Link, State

# The kinds of device that repeat the MAC of the NIC below them: never the NIC that a MAC in the configuration means.
_CHILDREN = frozenset({"vlan", "bridge", "bond", "team"})


class Match(Protocol):
    """How the configuration names a NIC: by its name or by its permanent MAC (lower case, colons)."""

    @property
    def name(self) -> str | None:
        """The NIC's name."""

    @property
    def mac(self) -> str | None:
        """The NIC's permanent MAC."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role and the link that plays it.

    `link` is what exists now, None until it does. `wanted`: links to make or hold, the NIC below first.
    """

    name: str
    link: Link | None = None
    wanted: tuple[WantedLink, ...] = ()
    problem: Problem | None = None

    @property
    def ifname(self) -> str:
        """The device's name, also before it exists."""
        return self.link.name if self.link is not None else self.name


def find_nic(state: State, match: Match | None) -> Link | None:
    """The NIC that the configuration means: by name, else by permanent MAC, its VLAN children excluded.

    A device without a permanent MAC (a veth, a container's NIC) is known by the MAC it has.
    """
    if match is None:
        return None
    if match.name is not None:
        return state.link(match.name)
    if match.mac is None:
        return None
    mac = str(match.mac).lower()
    nics = sorted((link for link in state.links.values() if link.kind not in _CHILDREN), key=lambda link: link.index)
    permanent = (link for link in nics if link.permanent_mac == mac)
    plain = (link for link in nics if not link.permanent_mac and link.mac == mac)
    return next(permanent, None) or next(plain, None)


def resolve(
    state: State,
    role: str,
    match: Match | None,
    *,
    vlan: int | None = None,
    mac: str | None = None,
    mtu: int | None = None,
) -> Role:
    """The link that plays `role`: a link of that name, else the matched NIC, or with `vlan` a VLAN link made on it.

    `mac` and `mtu` (bytes) are held on the role's own link; a larger MTU raises the NIC's too. A link that is named
    like its role is used as it is, so a file that names VLANs also serves a lab without them.
    """
    named = state.link(role)
    nic = find_nic(state, match)
    if named is not None and (named.kind != "vlan" or vlan is None or nic is None or nic.index == named.index):
        return Role(role, named, (WantedLink(role, mac=mac, mtu=mtu),))
    if nic is None:
        return Role(role, None, (), _missing(role, match))
    if vlan is None:
        return Role(role, nic, (WantedLink(nic.name, mac=mac, mtu=mtu),))
    child = WantedLink(role, parent=nic.index, vlan=vlan, mac=mac, mtu=mtu)
    made = named if named is not None and named.parent == nic.index and named.vlan == vlan else None
    # A VLAN carries no larger packets than its NIC; a smaller MTU is the VLAN's alone.
    raised = mtu if mtu is not None and mtu > nic.mtu else None
    return Role(role, made, (WantedLink(nic.name, mtu=raised), child))


def _missing(role: str, match: Match | None) -> Problem:
    if match is None or (match.name is None and match.mac is None):
        looked = f"no link is named {role}"
        hint = f"in compose: `interface_name: {role}` on that network; or name its NIC in the configuration"
    elif match.name is not None:
        looked = f"no link is named {role} or {match.name}"
        hint = f"in compose: `interface_name: {match.name}` on that network; or correct the name in the configuration"
    else:
        looked = f"no link is named {role}, and no NIC has the MAC {match.mac}"
        hint = f'in compose: `mac_address: "{match.mac}"` on that network; or correct the MAC in the configuration'
    return Problem(f"link/{role}", looked, hint)
