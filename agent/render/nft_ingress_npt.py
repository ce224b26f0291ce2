"""Stateless 1:1 translation as constant nft rules, ICMPv6 errors and what they quote included.

A typed `ip6 saddr set` corrects the checksum of the layer above by the difference of old and new address; a raw
`@nh,64,… set` does not. An error quotes the packet it is about: there the quoted address is set raw, and the outer
address makes up for it by taking the same step twice: typed, put back raw, typed again.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from agent.desired.ingress import IngressTable
from agent.model import PrefixMapping
from agent.render.nft_ingress_chains import ERRORS

_BITS = 128
# Bit offsets: of the outer addresses in the IPv6 header, of the quoted ones in the ICMPv6 message (RFC 4443).
_SOURCE, _DESTINATION = "@nh,64", "@nh,192"
_QUOTED_SOURCE, _QUOTED_DESTINATION = "@th,128", "@th,256"


def npt_chains(table: IngressTable) -> dict[str, tuple[str, ...]]:
    """The dynamic chains: what comes in, what goes out, and errors that go out."""
    wan, dmz = table.static.wan, table.static.dmz
    into: list[str] = []
    out: list[str] = []
    errors: list[str] = []
    if wan is not None and table.lent:
        ours = (*table.lent, *(mapping.external for mapping in table.mappings))
        into += [f'iifname "{wan}" ip6 saddr {prefix} drop' for prefix in ours]
    # Ahead of translation: what is lent may be a part of a mapping.
    into += [f"ip6 daddr {prefix} notrack accept" for prefix in table.lent]
    if dmz is not None:
        into += [f'iifname "{dmz}" ip6 saddr {prefix} drop' for prefix in table.closed]
        into += [f'iifname "{dmz}" ip6 saddr @own6 drop'] if table.lent else []
    for mapping in table.mappings:
        if wan is not None and not table.lent:
            into.append(f'iifname "{wan}" ip6 saddr {mapping.external} drop')
        into += _in(mapping)
        out.append(f"ip6 saddr {mapping.internal} {_typed('saddr', mapping.external)} accept")
        errors += _errors(mapping, table.source6)
        if dmz is not None:
            # An error of an unmapped router about a mapped host: untracked like the host's flows.
            quoted = _quoted(_QUOTED_DESTINATION, mapping.internal)
            into.append(f'iifname "{dmz}" icmpv6 type {ERRORS} {quoted} fib daddr type unicast notrack')
    if dmz is not None:
        # Not to a mapped host by its outside address: that hairpin is tracked (nft_ingress_chains.py).
        into += [f'iifname "{dmz}" ip6 saddr {prefix} fib daddr type unicast notrack' for prefix in table.lent]
    return {"npt_in": tuple(into), "npt_out": tuple(out), "npt_error": tuple(errors)}


def _in(mapping: PrefixMapping) -> tuple[str, ...]:
    """To a mapped host. An error about its packet quotes it as the source."""
    inner, outer = mapping.internal, mapping.external
    about = f"ip6 daddr {outer} icmpv6 type {ERRORS} {_quoted(_QUOTED_SOURCE, outer)}"
    quote, step = _raw(_QUOTED_SOURCE, inner), _typed("daddr", inner)
    return (
        f"ip6 daddr {outer} jump npt_track",
        f"{about} {quote} {step} {_raw(_DESTINATION, outer)} {step} return",
        f"ip6 daddr {outer} {step} return",
    )


def _errors(mapping: PrefixMapping, source: IPv6Address | None) -> tuple[str, ...]:
    """Errors about packets to a mapped host: it is quoted as the destination, which outside has its external address.

    From a router within the mapping the outer source takes the mapping's step twice. Any other router's, ours too,
    becomes the uplink's own, and lends its prefix for the second step.
    """
    inner, outer = mapping.internal, mapping.external
    about = f"icmpv6 type {ERRORS} {_quoted(_QUOTED_DESTINATION, inner)}"
    quote = _raw(_QUOTED_DESTINATION, outer)
    step = f"{_raw(_SOURCE, inner)} {_typed('saddr', outer)}"
    within = f"ip6 saddr {inner} {about} {quote} {_typed('saddr', outer)} {step} accept"
    if source is None:
        return (within,)
    own = IPv6Network((source, inner.prefixlen), strict=False)
    return (within, f"{about} ip6 saddr set {source} {quote} {step} {_raw(_SOURCE, own)} accept")


def _typed(field: str, prefix: IPv6Network) -> str:
    return f"ip6 {field} set ip6 {field} & {prefix.hostmask} | {prefix.network_address}"


def _raw(place: str, prefix: IPv6Network) -> str:
    return f"{place},{prefix.prefixlen} set {_leading(prefix):#x}"


def _quoted(place: str, prefix: IPv6Network) -> str:
    return f"{place},{prefix.prefixlen} {_leading(prefix):#x}"


def _leading(prefix: IPv6Network) -> int:
    return int(prefix.network_address) >> _BITS - prefix.prefixlen
