"""NICs and VLANs: each on one node, each VLAN once on its trunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.config.finding import Complaint, KeyPath
from agent.config.host import DockerHost, Host
from agent.config.interface import Interface
from agent.config.settings import FIREWALL, Settings
from agent.config.uplink import WireguardUplink


@dataclass(frozen=True, slots=True)
class _Use:
    """A NIC (`nic` None: by the name of its role) that a node uses, for a VLAN or as it is."""

    node: str
    nic: Interface | None
    path: KeyPath
    vlan: int | None = None
    carries: str = ""


def check(settings: Settings) -> Iterator[Complaint]:
    """NICs named twice or not at all, VLANs twice on one trunk, MAC addresses twice."""
    uses = list(_uses(settings))
    for use in uses:
        yield from _named(use)
    yield from _vlans(uses)
    owner: dict[str, str] = {}
    yield from _node_macs(settings, uses, owner)
    yield from _machine_macs(settings, owner)


def _uses(settings: Settings) -> Iterator[_Use]:
    trunk = settings.firewall.trunk
    if trunk is not None:
        yield _Use(FIREWALL, trunk, (FIREWALL, "trunk"))
    for name, network in settings.networks.items():
        nic = network.interface or (trunk if network.vlan is not None else None)
        at = "interface" if network.interface else "vlan"
        yield _Use(FIREWALL, nic, ("networks", name, at), network.vlan, f"network `{name}`")
    transit = settings.transit
    for name, uplink in settings.uplinks.items():
        if not isinstance(uplink, WireguardUplink):
            yield _Use(name, uplink.interface, ("uplinks", name, "interface"), uplink.vlan, "the uplink")
        vlan = transit.vlan if transit else None
        yield _Use(name, uplink.trunk, ("uplinks", name, "trunk"), vlan, "the transit network")


def _named(use: _Use) -> Iterator[Complaint]:
    if use.nic is None or use.path[-1] == "vlan":
        return
    if use.nic.mac is None and use.nic.name is None:
        yield Complaint(use.path, "neither `mac` nor `name`", 'write { mac: "…" } or { name: eth0 }')
    elif use.nic.mac is not None and use.nic.name is not None:
        yield Complaint(use.path, "both `mac` and `name`", "keep one of the two; the MAC is the same in every kernel")


def _vlans(uses: list[_Use]) -> Iterator[Complaint]:
    first: dict[tuple[str, Interface, int | None], _Use] = {}
    for use in uses:
        if use.nic is None:
            if use.vlan is not None and use.path[0] == "networks":
                name = str(use.path[1])
                mend = "add `firewall: { trunk: … }`, or delete `vlan` and name the NIC itself"
                yield Complaint(("networks", name, "vlan"), f"VLAN {use.vlan} of no NIC: there is no trunk", mend)
            continue
        if not use.carries:
            continue
        key = (use.node, use.nic, use.vlan)
        if key in first:
            other = first[key].carries
            vlan = f"VLAN {use.vlan} on" if use.vlan is not None else "no `vlan`, the NIC itself:"
            message = f"{use.carries} and {other} have one interface ({vlan} {use.nic})"
            path = (*use.path[:2], "vlan") if use.path[0] == "networks" and use.vlan is not None else use.path
            yield Complaint(path, message, "give each a VLAN or a NIC of its own")
        first.setdefault(key, use)


def _node_macs(settings: Settings, uses: list[_Use], owner: dict[str, str]) -> Iterator[Complaint]:
    """A NIC belongs to one node. Fills `owner`: MAC → node."""
    for use in uses:
        if use.nic is None or use.nic.mac is None or use.path[-1] == "vlan":
            continue
        if owner.setdefault(use.nic.mac, use.node) != use.node:
            yield _double((*use.path, "mac"), use.nic.mac, f"node `{owner[use.nic.mac]}`")
    for name, uplink in settings.uplinks.items():
        if isinstance(uplink, WireguardUplink) or uplink.set_mac is None:
            continue
        own = uplink.interface.mac if uplink.interface else None
        if uplink.set_mac in owner and uplink.set_mac != own:
            yield _double(("uplinks", name, "set_mac"), uplink.set_mac, f"node `{owner[uplink.set_mac]}`")
        owner.setdefault(uplink.set_mac, name)


def _machine_macs(settings: Settings, owner: Mapping[str, str]) -> Iterator[Complaint]:
    """Two hosts may share a MAC in two networks, a machine with VLANs of its own; not in one."""
    placed: dict[tuple[str, str | None], str] = {}
    machines: list[tuple[str, str, Host | DockerHost]] = [
        *(("docker_hosts", name, vm) for name, vm in settings.docker_hosts.items()),
        *(("hosts", name, host) for name, host in settings.hosts.items()),
    ]
    for section, name, machine in machines:
        mac, network = machine.mac, machine.network
        if mac is None:
            continue
        if mac in owner:
            yield _double((section, name, "mac"), mac, f"node `{owner[mac]}`")
        elif (mac, network) in placed:
            yield _double((section, name, "mac"), mac, f"`{placed[mac, network]}` in the same network")
        placed.setdefault((mac, network), name)


def _double(path: KeyPath, mac: str, other: str) -> Complaint:
    return Complaint(path, f"{mac} is the MAC address of {other} too", "write the MAC address of this device")
