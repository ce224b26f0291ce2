"""What a VM with containers must be told: pure arithmetic on the address plan, nothing of it is applied here."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

from agent.config.settings import Settings
from agent.desired.machine import DockerMachine, FixedNetwork

# A Docker network holds 2^32 containers; of the /80 that leaves 65536 networks.
NETWORK_LENGTH = 96
_SHIFT = 128 - NETWORK_LENGTH
# The default bridge cannot give a container a fixed address, so it is not the one with the small suffixes.
_BRIDGE = 1


class MachineError(Exception):
    """The machine cannot be told anything that works; the text says why and how to mend it."""


def docker_machine(settings: Settings, name: str) -> DockerMachine:
    """The VM of that name in `docker_hosts`.

    Its /80 is shared out as: /96 number 1 the default bridge, the upper half networks that Docker makes by itself,
    and the /96 of each container with a fixed suffix. Docker refuses overlaps ("Pool overlaps").

    Raises:
        MachineError: no such VM, no prefix, or a suffix in a part that Docker gives out itself.
    """
    host = settings.docker_hosts.get(name)
    if host is None:
        there = ", ".join(settings.docker_hosts) or "none"
        raise MachineError(f"there is no docker host `{name}`; there are: {there}")
    address, gateway = settings.docker_address(name), settings.docker_gateway(name)
    whole = settings.docker_containers(name)
    if address is None or gateway is None or whole is None:
        raise MachineError(f"docker_hosts.{name}: its network has no prefix to number docker hosts in")
    *_, pool = whole.subnets(prefixlen_diff=1)
    return DockerMachine(
        name=name,
        mac=host.mac,
        address=type(gateway)((address, gateway.network.prefixlen)),
        gateway=gateway.ip,
        containers=whole,
        bridge=_part(whole, _BRIDGE),
        pool=pool,
        size=NETWORK_LENGTH,
        fixed=tuple(_fixed(settings, name, whole, pool)),
    )


def _part(whole: IPv6Network, number: int) -> IPv6Network:
    return IPv6Network((int(whole.network_address) + (number << _SHIFT), NETWORK_LENGTH))


def _fixed(settings: Settings, name: str, whole: IPv6Network, pool: IPv6Network) -> Iterator[FixedNetwork]:
    members: dict[int, list[tuple[str, IPv6Address]]] = {}
    for host, found in sorted(settings.hosts.items()):
        address = settings.host_address6(host)
        if found.docker_host != name or address is None:
            continue
        number = (int(address) - int(whole.network_address)) >> _SHIFT
        subnet = _part(whole, number)
        if number == _BRIDGE or address in pool:
            which = "the default bridge's" if number == _BRIDGE else "the part that Docker gives out itself"
            raise MachineError(
                f"hosts.{host}: {address} lies in {which}, {subnet if number == _BRIDGE else pool}, where no container"
                " can be given it; take a suffix like ::80, or one from ::2:0:0 to ::7fff:ffff:ffff"
            )
        if address == subnet.network_address + 1:
            raise MachineError(f"hosts.{host}: {address} is Docker's own in {subnet}; take a suffix from ::2 on")
        members.setdefault(number, []).append((host, address))
    if not members:
        members[0] = []
    for number, found_members in sorted(members.items()):
        subnet = _part(whole, number)
        # `public` where nothing says otherwise: most have one.
        network = "public" if number == 0 else f"public-{number:x}"
        yield FixedNetwork(network, subnet, subnet.network_address + 1, tuple(found_members))
