"""The second table: connections that the firewall has just ended, so that what still arrives of them is reset.

It is apart from `table inet router`, which a change replaces: its sets would be lost. A tuple is known for half a
minute and only packets of no connection (`ct state new`, no SYN) are rejected: a restarted firewall resets nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.desired.firewall import FORGED_MARK
from agent.model import TcpFlow
from agent.render import nft_hold

STATE_TABLE = nft_hold.STATE_TABLE
_SIZE = 65535
_CHUNK = 1000
_TIMEOUT = "30s"
_KINDS = {4: "ipv4_addr", 6: "ipv6_addr"}
_WORDS = {4: "ip", 6: "ip6"}


def state_table() -> str:
    """The table, as a script that may be loaded again and again without losing an element."""
    sets = (
        f"    set ended{number} {{ type {kind} . inet_service . {kind} . inet_service;"
        f" flags timeout; timeout {_TIMEOUT}; size {_SIZE}; }}"
        for number, kind in _KINDS.items()
    )
    rules = (
        f"add rule {STATE_TABLE} ended_forward ct state new tcp flags & (fin | syn | rst | ack) != syn"
        f" {word} saddr . tcp sport . {word} daddr . tcp dport @ended{number} reject with tcp reset"
        for number, word in _WORDS.items()
    )
    return "\n".join(
        (
            f"table {STATE_TABLE} {{",
            *sets,
            f"    {nft_hold.SET}",
            *(f"    {chain}" for chain in nft_hold.CHAINS),
            "    chain ended_forward { type filter hook forward priority filter - 5; policy accept; }",
            # A forged SYN would else begin a connection, and its answer would belong to that.
            "    chain forged_output { type filter hook output priority raw; policy accept; }",
            "}",
            f"flush chain {STATE_TABLE} ended_forward",
            f"flush chain {STATE_TABLE} forged_output",
            *(f"flush chain {STATE_TABLE} {rule.split()[0]}" for rule in nft_hold.RULES),
            *rules,
            *(f"add rule {STATE_TABLE} {rule}" for rule in nft_hold.RULES),
            f"add rule {STATE_TABLE} forged_output meta mark {FORGED_MARK:#x} notrack",
            "",
        )
    )


def render_ended(flows: Sequence[TcpFlow]) -> str:
    """A script that notes these connections as ended; the most that fit."""
    return "\n".join(_additions(flows[:_SIZE]))


def _additions(flows: Sequence[TcpFlow]) -> Iterator[str]:
    for number in _KINDS:
        keys = [
            f"{flow.source} . {flow.source_port} . {flow.destination} . {flow.destination_port}"
            for flow in flows
            if flow.source.version == number
        ]
        for start in range(0, len(keys), _CHUNK):
            yield f"add element {STATE_TABLE} ended{number} {{ {', '.join(keys[start : start + _CHUNK])} }}"
