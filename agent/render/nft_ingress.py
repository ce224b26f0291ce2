"""An ingress's nftables rules: a skeleton that seldom changes, and the elements and chains that follow the uplink."""

from __future__ import annotations

from agent.desired import Ruleset
from agent.desired.ingress import IngressTable
from agent.render.nft_ingress_npt import npt_chains
from agent.render.nft_ingress_skeleton import skeleton


def render_ingress(table: IngressTable) -> Ruleset:
    """Text of all rules. A prefix change alters the dynamic chains and a few elements, never the skeleton."""
    return Ruleset(skeleton(table.static), _elements(table), npt_chains(table), forbidding=frozenset({"reserved6"}))


def _elements(table: IngressTable) -> dict[str, dict[str, str]]:
    # NAT also serves the hairpin: what turns round at the DMZ bears the uplink's address, never an internal one.
    devices = [f'"{name}"' for name in (table.static.wan, table.static.dmz) if name is not None]
    four = devices if table.nat44 is not None else []
    near = [f'"{table.static.dmz}"'] if table.static.dmz is not None else []
    six = devices if table.nat66 is not None else []
    lent = {}
    if table.static.lends:
        turned = near if table.lent and table.source6 is not None else []
        lent = {
            "lent6": {str(prefix.network_address): "" for prefix in table.lent},
            "hairpin6": dict.fromkeys(turned, str(table.source6)),
        }
    return {
        **lent,
        "own4": dict.fromkeys(map(str, table.own4), ""),
        "own6": dict.fromkeys(map(str, table.own6), ""),
        "reserved6": dict.fromkeys(map(str, table.reserved6), ""),
        "mapped6": {str(mapping.internal): "" for mapping in table.mappings},
        "nat44": dict.fromkeys(four, str(table.nat44)),
        "nat66": dict.fromkeys(six, str(table.nat66)),
        "open4": dict.fromkeys(four, ""),
        "open6": dict.fromkeys(six, ""),
        "alive4": dict.fromkeys(near if 4 in table.alive else [], ""),  # noqa: PLR2004
        "alive6": dict.fromkeys(near if 6 in table.alive else [], ""),  # noqa: PLR2004
    }
