"""For the Docker engine of a VM: daemon.json and a compose file (docs.docker.com, dockerd and compose references)."""

from __future__ import annotations

import json

from agent.desired.machine import DockerMachine

# IPv4 of containers never leaves the VM untranslated, so every VM may use the same.
POOL4 = "172.18.0.0/15"
SIZE4 = 24


def daemon_json(machine: DockerMachine) -> str:
    """/etc/docker/daemon.json, for Engine 27 and later; needs a restart of the engine.

    `ip6tables` off: the engine would translate and drop what comes from outside, where the filter is the router's.
    With it off, every container is routed plainly, on the default bridge and on networks of one's own alike.
    """
    document = {
        "ipv6": True,
        "fixed-cidr-v6": str(machine.bridge),
        "ip6tables": False,
        "default-address-pools": [
            {"base": POOL4, "size": SIZE4},
            {"base": str(machine.pool), "size": machine.size},
        ],
        "default-network-opts": {"bridge": {"com.docker.network.enable_ipv6": "true"}},
    }
    return json.dumps(document, indent=2) + "\n"


def compose(machine: DockerMachine) -> str:
    """A file to use beside one's own: `docker compose -f compose.yaml -f router.yaml up`."""
    lines = [
        f"# {machine.name}: containers with addresses that the router's configuration knows.",
        "# docker compose -f compose.yaml -f router.yaml up -d, where compose.yaml has the services' images.",
    ]
    members = [(service, address, network.name) for network in machine.fixed for service, address in network.members]
    if members:
        lines.append("services:")
    for service, address, network in members:
        lines += [f"  {service}:", "    networks:", f'      {network}: {{ ipv6_address: "{address}" }}']
    lines.append("networks:")
    for fixed in machine.fixed:
        lines += [
            f"  {fixed.name}:",
            "    enable_ipv6: true",
            "    ipam:",
            "      config:",
            f'        - {{ subnet: "{fixed.subnet}", gateway: "{fixed.gateway}" }}',
        ]
    return "\n".join(lines) + "\n"
