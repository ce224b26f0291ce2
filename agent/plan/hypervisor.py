"""What the hypervisor below a hoster's router must be told: three bridges, and the router's NICs on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from agent.config.interface import Interface
from agent.config.settings import Settings
from agent.config.uplink import WireguardUplink
from agent.desired.machine import Bridge, GuestNic, Hypervisor, RouterNic
from agent.plan.machine import MachineError

# Linux: IFNAMSIZ is 16 with the closing zero.
NAME_LENGTH = 15


def hypervisor(
    settings: Settings, nic: str, names: tuple[str, str, str], ports: Mapping[str, str] = MappingProxyType({})
) -> Hypervisor:
    """The bridges called `names`: of the internet, with the machine's `nic`; of the networks without VMs; of the VMs.

    `ports`: VM → the hypervisor's end of its NIC. Only with it is a VM held apart from the others.

    Raises:
        MachineError: a NIC of the router cannot be one end of a pair, or there is no VM of that name.
    """
    internet, internal, hosts = names
    for name in ports:
        if name not in settings.docker_hosts:
            there = ", ".join(settings.docker_hosts) or "none"
            raise MachineError(f"there is no docker host `{name}`; there are: {there}")
    with_machines = {host.network for host in settings.docker_hosts.values()}
    outside = [
        _nic(name, "wan", uplink.interface, getattr(uplink, "vlan", None), where="uplinks")
        for name, uplink in settings.uplinks.items()
        if not isinstance(uplink, WireguardUplink)
    ]
    inside: dict[bool, list[RouterNic]] = {True: [], False: []}
    for name, network in settings.networks.items():
        # The transit network lies between the router's own containers.
        if not network.transit:
            inside[name in with_machines].append(_nic(name, name, network.interface, network.vlan, where="networks"))
    found = (
        Bridge(internet, "internet: the provider's line", tuple(outside), port=nic),
        Bridge(internal, "internal: networks without addresses from outside", tuple(inside[False])),
        Bridge(
            hosts,
            "hosts: the VMs with public addresses; none reaches another but through the router",
            tuple(inside[True]),
            isolated=True,
            machines=tuple(
                GuestNic(name, host.mac, ports.get(name, "")) for name, host in settings.docker_hosts.items()
            ),
        ),
    )
    taken = list(_taken(found))
    if len(set(taken)) != len(taken):
        twice = sorted({name for name in taken if taken.count(name) > 1})
        raise MachineError(
            f"two interfaces would be called {', '.join(twice)}: give the NICs of the router other names"
        )
    return Hypervisor(found)


def _nic(name: str, role: str, interface: Interface | None, vlan: int | None, *, where: str) -> RouterNic:
    if vlan is not None and interface is None:
        raise MachineError(f"{where}.{name} is a VLAN on the router's trunk: give it an `interface` of its own instead")
    called = (interface.name if interface is not None else None) or role
    return RouterNic(called, f"{called[: NAME_LENGTH - 2]}-p", (interface.mac if interface is not None else None) or "")


def _taken(bridges: tuple[Bridge, ...]) -> Iterator[str]:
    for bridge in bridges:
        yield bridge.name
        if bridge.port:
            yield bridge.port
        for nic in bridge.nics:
            yield from (nic.name, nic.peer)
