"""New connections wait outside while the rules are replaced.

For some microseconds around the moment when the kernel changes to a new table, a packet may find nothing in any set or
map (one that is on its way in the old rules, or is the first in the new ones), and a new base chain has no policy yet.
Measured on 6.18: a rule that drops by a list let a packet or several pass at each replace. So nothing that decides by a
look-up decides then: a chain in the other table, which stays, drops the first packets of new connections. Connections
that stand go on; so do streams that nobody answers, each packet of which is `new` (of one that was permitted and is no
more, a packet may pass). The elements that say so go by themselves, should the agent die meanwhile.
"""

from __future__ import annotations

from agent.desired import Hold

STATE_TABLE = "inet router_state"
# Longer than the largest configuration takes to load.
_AT_MOST = "10s"
HOLD = Hold(
    begin=f"add element {STATE_TABLE} held {{ ipv4 timeout {_AT_MOST}, ipv6 timeout {_AT_MOST} }}",
    end=f"flush set {STATE_TABLE} held",
)
SET = "set held { type nf_proto; flags timeout; }"
CHAINS = tuple(
    f"chain held_{hook} {{ type filter hook {hook} priority filter - 6; policy accept; }}"
    for hook in ("forward", "input")
)
# Confirmed is a connection of which a packet has passed: of one that nobody answers each packet is `new`.
_FIRST = "ct state new ct status & confirmed == 0"
RULES = tuple(f"{chain} {_FIRST} meta nfproto @held drop" for chain in ("held_forward", "held_input"))
