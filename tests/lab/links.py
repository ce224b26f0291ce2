"""Wires the nodes: bridges, veth pairs, and what a machine is given by hand (addresses, routes)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from tests.lab.node import Node
from tests.lab.topology import ISPS, LINES, NodeSpec, mac


def _plug(node: Node, number: int) -> list[str]:
    """The veth pairs between the switch and `node`, made in the switch."""
    commands = []
    for port in node.spec.ports:
        if port.switch:
            end = f"{port.switch}{number}"
            peer = f"peer name {port.name} address {mac(node.name, port.name)} netns {node.pid}"
            commands += [f"link add {end} type veth {peer}", f"link set {end} master {port.switch} up"]
    return commands


def _batch(node: Node, commands: list[str]) -> subprocess.Popen[str]:
    """`ip -batch` in the network of `node` alone: pids are the host's."""
    argv = ["nsenter", "-t", str(node.pid), "-n", "ip", "-batch", "-"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdin is not None
    process.stdin.write("\n".join(commands) + "\n")
    process.stdin.close()
    process.stdin = None
    return process


def _finish(name: str, process: subprocess.Popen[str]) -> None:
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the lab could not wire {name}: {out.strip()}")


def _dress(spec: NodeSpec, lines: Mapping[str, str]) -> list[str]:
    """The commands inside a node: interfaces up, addresses, routes."""
    commands = ["link set lo up"]
    if spec.name in ISPS:  # an ISP: its end of the line is a bridge, see topology.LINES
        commands += [f"link add line address {mac(spec.name, 'line')} type bridge mcast_snooping 0"]
        if spec.name in lines.values():
            commands.append("link set port master line up")
    if spec.name in lines:
        commands.append("link set wan up")
    for port in spec.ports:
        commands.append(f"link set {port.name} up")
        commands += [f"addr add {a} dev {port.name}{' nodad' if ':' in a else ''}" for a in port.addresses]
    commands += [f"route add {route}" for route in spec.routes]
    return commands


def wire(nodes: Mapping[str, Node]) -> None:
    """Connect those nodes that exist, as the topology declares. Raises RuntimeError with ip's words."""
    lines = {ingress: isp for ingress, isp in LINES if ingress in nodes and isp in nodes}
    switch = nodes["switch"]
    bridges = sorted({port.switch for node in nodes.values() for port in node.spec.ports if port.switch})
    commands = ["link set lo up"]
    for bridge in bridges:
        commands += [f"link add {bridge} type bridge mcast_snooping 0", f"link set {bridge} up"]
    for number, node in enumerate(nodes.values()):
        commands += _plug(node, number)
    for ingress, isp in lines.items():
        ends = f"name port address {mac(isp, 'port')} netns {nodes[isp].pid} type veth "
        ends += f"peer name wan address {mac(ingress, 'wan')} netns {nodes[ingress].pid}"
        commands.append(f"link add {ends}")
    _finish("switch", _batch(switch, commands))
    running = {name: _batch(node, _dress(node.spec, lines)) for name, node in nodes.items() if name != "switch"}
    for name, process in running.items():
        _finish(name, process)
