"""A thousand clients with leases and names on one network."""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path
from typing import Any

from tests.bench.report import Figure, figure
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.wait import wait_for

COUNT = 1000
DAEMONS = ("kea-dhcp4", "kea-dhcp6", "kea-dhcp-ddns", "named", "router-agent")
CLIENTS = Path(__file__).with_name("dhcp_clients.py")
OWN, RESOLVER = "10.10.7.250", "10.10.0.1"
NAMES_WITHIN = 120.0


def configuration() -> str:
    """The lab's with room for them."""
    text = CONFIG.read_text()
    for old, new in (
        ("ipv4: 10.10.0.0/24 ", "ipv4: 10.10.0.0/21 "),
        ("pool: 10.10.0.100-10.10.0.199", "pool: 10.10.1.0-10.10.6.255"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


def clients_1000() -> tuple[Figure, ...]:
    """Milliseconds to a renewal's answer; renewals and names that are missing or wrong; MiB of the daemons' RSS."""
    with Lab(nodes=("firewall", "laptop"), config=configuration()) as lab:
        lab.start_router()
        firewall, laptop = lab.nodes["firewall"], lab.nodes["laptop"]
        laptop.ip(f"addr add {OWN}/21 dev eth0")
        done = laptop.run(["python3", "-I", "-S", str(CLIENTS), "eth0", str(COUNT)], timeout=300)
        result: dict[str, Any] = json.loads(done.stdout)
        wrong = _wrong_names(laptop, result["addresses"])
        wait_for(lambda: _shown(firewall) >= COUNT, 10, "the leases to be shown")
        memory = sum(_memory(firewall, daemon) for daemon in DAEMONS)
    return (
        figure("clients-1000", "ms", result["renewals"]),
        figure("clients-1000-lost", "renewals", [result["lost"] + COUNT - len(result["addresses"])]),
        figure("clients-1000-names", "names", [wrong]),
        figure("clients-1000-memory", "MiB", [memory]),
    )


def _shown(firewall: Node) -> int:
    shown = json.loads(firewall.output(["routerctl", "leases", "home", "--json"]))
    return len(shown["networks"]["home"])


def _memory(node: Node, daemon: str) -> float:
    """Resident memory of a service of the node in MiB, 0 where it does not run."""
    answer = node.run(["dinitctl", "status", daemon], check=False).stdout
    pid = next((line.split()[-1] for line in answer.splitlines() if "Process ID" in line), "")
    if not pid.isdecimal():
        return 0.0
    lines = node.path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


def _wrong_names(laptop: Node, addresses: dict[str, str]) -> int:
    """Names that do not lead to their address, or addresses that do not lead back, after the updates have had time."""
    wrong: dict[str, str] = dict(addresses)
    with laptop.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.settimeout(2.0)
        deadline = time.monotonic() + NAMES_WITHIN
        while wrong and time.monotonic() < deadline:
            wrong = {name: address for name, address in wrong.items() if not _right(wire, name, address)}
            if wrong:
                time.sleep(1.0)
    return len(wrong)


def _right(wire: socket.socket, name: str, address: str) -> bool:
    full = f"{name}.home.arpa"
    backward = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    labels = b"".join(bytes([len(label)]) + label.encode() for label in full.split(".")) + b"\0"
    return _ask(wire, full, 1) == socket.inet_aton(address) and _ask(wire, backward, 12) == labels


def _ask(wire: socket.socket, name: str, kind: int) -> bytes:
    """The data of the first answer, empty for none; a compressed name is given in full (RFC 1035 section 4.1.4)."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack("!HHHHHH", kind, 0x0100, 1, 0, 0, 0) + question + struct.pack("!HH", kind, 1)
    wire.sendto(query, (RESOLVER, 53))
    try:
        data = wire.recv(4096)
    except TimeoutError:
        return b""
    if data[6:8] == b"\0\0":
        return b""
    place = 12 + len(question) + 4 + 2  # behind the question, and the answer's name: a pointer to it
    size = int.from_bytes(data[place + 8 : place + 10], "big")
    value = data[place + 10 : place + 10 + size]
    return value if kind == 1 else _whole(data, place + 10)


def _whole(data: bytes, place: int) -> bytes:
    found = b""
    while data[place]:
        if data[place] >= 0xC0:
            place = int.from_bytes(data[place : place + 2], "big") & 0x3FFF
            continue
        found += data[place : place + 1 + data[place]]
        place += 1 + data[place]
    return found + b"\0"
