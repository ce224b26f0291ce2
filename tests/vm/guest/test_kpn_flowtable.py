"""Offloaded flows over the PPP link and a VLAN: in the table, and there again after the link is new."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

from tests.lab.topology import INTERNET4
from tests.lab.wait import wait_for
from tests.vm.network import Network
from tests.vm.topology import PREFIX


def _offloaded(story: Network) -> str:
    """The connections that the flowtable holds."""
    out = story.nodes["kpn"].output(["conntrack", "-L", "-f", "ipv4"])
    return "\n".join(line for line in out.splitlines() if "OFFLOAD" in line)


def _devices(story: Network) -> set[str]:
    """The devices that the flowtable is hooked to now."""
    out = story.nodes["kpn"].run(["nft", "list", "flowtable", "inet", "router", "fast"], check=False).stdout
    found = re.search(r"devices = \{(.*?)\}", out)
    return {name.strip(' "') for name in found[1].split(",")} if found else set()


@contextlib.contextmanager
def _conversation(story: Network) -> Iterator[socket.socket]:
    """A TCP connection through NAT with the echo server, established and used."""
    with story.nodes["laptop"].socket(socket.AF_INET, socket.SOCK_STREAM) as talk:
        talk.settimeout(5)
        talk.connect((INTERNET4, 7))
        talk.recv(100)  # the server's word about whom it sees
        _talk(talk, 5)
        yield talk


def _talk(connection: socket.socket, times: int) -> None:
    for number in range(times):
        question = f"question {number}\n".encode()
        connection.sendall(question)
        answer = b""
        while len(answer) < len(question):
            answer += connection.recv(100)
        assert answer == question


def _forwarded(story: Network) -> int:
    """Packets that have gone through the forward hook of the ingress."""
    out = story.nodes["kpn"].output(["nft", "list", "counter", "inet", "watch", "forwarded"])
    return int(out.split("packets ")[1].split()[0])


def test_flowtable_holds_established_flows_over_ppp_and_vlan(story: Network) -> None:
    kpn = story.nodes["kpn"]
    assert _devices(story) == {"dmz", "wan"}
    watch = "table inet watch { counter forwarded { }; chain c { type filter hook forward priority -500; "
    kpn.run(["nft", watch + "tcp dport 7 counter name forwarded; }; }"])
    try:
        with _conversation(story) as talk:
            wait_for(lambda: "dport=7" in _offloaded(story), 10, lambda: kpn.output(["conntrack", "-L"]))
            before = _forwarded(story)
            _talk(talk, 50)
            assert _forwarded(story) - before < 25, "the packets of an offloaded flow still take the slow path"
    finally:
        kpn.run(["nft", "delete", "table", "inet", "watch"])


def test_flowtable_is_hooked_to_the_successor_of_the_link(story: Network) -> None:
    old = story.session()
    story.nodes["kpn"].run(["pkill", "-KILL", "-x", "pppd"])
    story.wait_session(other_than=old)
    story.wait_reached("laptop", {4: "192.0.2.96/28", 6: PREFIX})
    wait_for(lambda: _devices(story) == {"dmz", "wan"}, 10, lambda: str(_devices(story)))
    with _conversation(story):
        wait_for(lambda: "dport=7" in _offloaded(story), 10, lambda: story.nodes["kpn"].output(["conntrack", "-L"]))
