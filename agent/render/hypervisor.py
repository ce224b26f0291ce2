"""A hypervisor's bridges: for Proxmox (interfaces(5), ifupdown2) and for systemd-networkd (systemd.netdev(5))."""

from __future__ import annotations

from collections.abc import Iterator

from agent.desired.machine import Bridge, Hypervisor, RouterNic

TABLE = "router_hosts"


def interfaces(found: Hypervisor) -> str:
    """A piece of /etc/network/interfaces; `ifreload -a` takes it up. The rules of the isolated bridge come with it."""
    lines = ["# The router's bridges. The machine's own address belongs on another interface, or on the first bridge."]
    for bridge in found.bridges:
        lines += ["", f"# {bridge.purpose}"]
        ports = [*((bridge.port,) if bridge.port else ()), *(nic.peer for nic in bridge.nics)]
        for nic in bridge.nics:
            lines += _pair(nic)
        lines += [f"auto {bridge.name}", f"iface {bridge.name} inet manual"]
        lines += [f"    bridge-ports {' '.join(ports) or 'none'}", "    bridge-stp off", "    bridge-fd 0"]
        lines += [f"    post-up sysctl -qw net.ipv6.conf.{bridge.name}.disable_ipv6=1"]
        if bridge.isolated:
            lines += [f"    post-up nft '{' '.join(_rules(bridge))}'"]
        lines += [
            f"    # {vm.name}: MAC {vm.mac} on {bridge.name}, port {vm.port or 'not given: NOT HELD APART'}"
            for vm in bridge.machines
        ]
    return "\n".join(lines) + "\n"


def _pair(nic: RouterNic) -> list[str]:
    mac = f" address {nic.mac}" if nic.mac else ""
    return [
        f"auto {nic.peer}",
        f"iface {nic.peer} inet manual",
        f"    pre-up ip link show {nic.peer} >/dev/null 2>&1 || ip link add {nic.peer} type veth peer name {nic.name}"
        + mac,
        f"    post-up ip link set {nic.peer} up",
        # The container's NIC works only while this one is up; up, it would take an address from the provider's router.
        f"    post-up ! ip link show {nic.name} >/dev/null 2>&1 || {_quiet(nic.name)}",
        "",
    ]


def _quiet(name: str) -> str:
    return f"{{ sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1; ip link set {name} up; }}"


def networkd(found: Hypervisor) -> dict[str, str]:
    """Files of /etc/systemd/network by their name, and `router-hosts.service` of /etc/systemd/system."""
    files: dict[str, str] = {}
    for bridge in found.bridges:
        files[f"20-{bridge.name}.netdev"] = _file(
            f"# {bridge.purpose}", "[NetDev]", f"Name={bridge.name}", "Kind=bridge", "", "[Bridge]", "STP=no"
        )
        # The machine itself takes no part in these networks: it would take an address from the provider's router.
        quiet = ("[Network]", "LinkLocalAddressing=no", "IPv6AcceptRA=no", "ConfigureWithoutCarrier=yes")
        files[f"20-{bridge.name}.network"] = _file("[Match]", f"Name={bridge.name}", "", *quiet)
        for name in (*((bridge.port,) if bridge.port else ()), *(nic.peer for nic in bridge.nics)):
            port = ("[Network]", f"Bridge={bridge.name}", "LinkLocalAddressing=no")
            files[f"21-{name}.network"] = _file("[Match]", f"Name={name}", "", *port)
        for nic in bridge.nics:
            mac = (f"MACAddress={nic.mac}",) if nic.mac else ()
            pair = ("[NetDev]", f"Name={nic.name}", "Kind=veth", *mac, "", "[Peer]", f"Name={nic.peer}")
            files[f"19-{nic.name}.netdev"] = _file(*pair)
            # The container's NIC works only while this one is up.
            files[f"21-{nic.name}.network"] = _file("[Match]", f"Name={nic.name}", "", *quiet)
        if bridge.isolated:
            files["router-hosts.nft"] = "\n".join(_rules(bridge)) + "\n"
            # Rules that were loaded before the bridge was there have been seen to hold for arriving frames alone.
            device = f"sys-subsystem-net-devices-{bridge.name}.device"
            files["router-hosts.service"] = _file(
                *("[Unit]", f"Description={bridge.purpose}", f"BindsTo={device}", f"After={device}", ""),
                *("[Service]", "Type=oneshot", "RemainAfterExit=yes"),
                *("ExecStart=/usr/sbin/nft -f /etc/systemd/network/router-hosts.nft", ""),
                *("[Install]", f"WantedBy={device}"),
            )
    return files


def _file(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _rules(bridge: Bridge) -> Iterator[str]:
    """A VM reaches the router alone, with its own MAC address alone (nft(8), family bridge).

    By the names of ports: they hold for ports that come later too, and every kernel knows them. Every statement ends
    with a semicolon or brace: the text stands on one line in interfaces(5).
    """
    router = ", ".join(f'"{nic.peer}"' for nic in bridge.nics)
    known = [vm for vm in bridge.machines if vm.port]
    ports = ", ".join(f'"{vm.port}"' for vm in known)
    pairs = ", ".join(f'"{vm.port}" . {vm.mac}' for vm in known)
    yield f"table bridge {TABLE};"
    yield f"delete table bridge {TABLE};"
    yield f"table bridge {TABLE} {{"
    if known:
        # Before the bridge learns: else a VM with another's address gets the other's packets.
        yield "    chain arrival {"
        yield "        type filter hook prerouting priority -300; policy accept;"
        yield f"        iifname . ether saddr {{ {pairs} }} accept;"
        yield f"        iifname {{ {ports} }} drop;"
        yield "    };"
        yield "    chain forward {"
        yield "        type filter hook forward priority 0; policy accept;"
        yield f"        iifname {{ {ports} }} oifname != {{ {router} }} drop;"
        yield f"        oifname {{ {ports} }} iifname != {{ {router} }} drop;"
        yield "    };"
    yield "};"
