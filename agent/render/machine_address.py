"""A VM's own address: for systemd-networkd (systemd.network(5)) and netplan (netplan(5))."""

from __future__ import annotations

from agent.desired.machine import DockerMachine

# The rest of the containers' prefix belongs to nobody: without this the VM asks its neighbours for each address of it.


def networkd(machine: DockerMachine) -> str:
    """/etc/systemd/network/10-router.network; `networkctl reload` takes it up."""
    lines = [
        f"# {machine.name}: the NIC on the hypervisor's bridge of hosts. Other NICs are left alone.",
        "[Match]",
        f"MACAddress={machine.mac}",
        "",
        "[Network]",
        f"Address={machine.address}",
        f"Gateway={machine.gateway}",
        "IPv6AcceptRA=no",
        "LinkLocalAddressing=ipv6",
        "",
        "# Containers' addresses that no Docker network holds.",
        "[Route]",
        f"Destination={machine.containers}",
        "Type=unreachable",
    ]
    return "\n".join(lines) + "\n"


def sysctl(machine: DockerMachine) -> str:
    """/etc/sysctl.d/90-router.conf: the VM forwards for its containers, also before the engine starts."""
    lines = [f"# {machine.name}", "net.ipv6.conf.all.forwarding = 1", "net.ipv6.conf.default.forwarding = 1"]
    return "\n".join(lines) + "\n"


def netplan(machine: DockerMachine) -> str:
    """/etc/netplan/60-router.yaml, mode 600; `netplan apply` takes it up."""
    lines = [
        f"# {machine.name}: the NIC on the hypervisor's bridge of hosts. Other NICs are left alone.",
        "network:",
        "  version: 2",
        "  ethernets:",
        "    router:",
        f'      match: {{ macaddress: "{machine.mac}" }}',
        "      dhcp4: false",
        "      dhcp6: false",
        "      accept-ra: false",
        "      link-local: [ipv6]",
        f'      addresses: ["{machine.address}"]',
        "      routes:",
        f'        - {{ to: "::/0", via: "{machine.gateway}" }}',
        "        # Containers' addresses that no Docker network holds.",
        f'        - {{ to: "{machine.containers}", type: unreachable }}',
    ]
    return "\n".join(lines) + "\n"
