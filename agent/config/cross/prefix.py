"""`site.prefix`: fit for an internal plan, one's own, and apart from what the uplinks have."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Interface, IPv6Network

from agent.config.finding import Complaint, KeyPath
from agent.config.plan6 import NETWORK_LENGTH
from agent.config.settings import Settings
from agent.config.uplink import StaticUplink, WireguardUplink

_PATH = ("site", "prefix")
_ULA = IPv6Network("fd00::/8")  # RFC 4193: the half where one chooses the global id oneself
_GLOBAL = IPv6Network("2000::/3")
_DOCUMENTATION = (IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))  # RFC 3849, RFC 9637
_SHORTEST = 16


def check(settings: Settings) -> Iterator[Complaint]:
    """Length and kind of the prefix; addresses of uplinks inside of it."""
    prefix = settings.site.prefix
    own = own_prefixes(settings)
    if prefix.prefixlen > NETWORK_LENGTH:
        yield Complaint(_PATH, f"{prefix} is too small for one network", "take a prefix of /64 or shorter, best a /48")
    elif prefix.prefixlen < _SHORTEST or not (prefix.subnet_of(IPv6Network("fc00::/7")) or prefix.subnet_of(_GLOBAL)):
        mend = "take a /48 of fd00::/8 (`routerctl init` draws one)"
        yield Complaint(_PATH, f"{prefix} is not a prefix for hosts", mend)
    elif not (prefix.subnet_of(_ULA) or any(prefix.subnet_of(net) for net in (*_DOCUMENTATION, *own))):
        message = f"{prefix} is neither a unique local prefix (fd00::/8) nor that of an uplink here: is it yours?"
        mend = "take one of your own, or a random /48 of fd00::/8; never somebody else's"
        yield Complaint(_PATH, message, mend, level="warning")
    yield from _overlaps(settings)


def own_prefixes(settings: Settings) -> tuple[IPv6Network, ...]:
    """The prefixes that providers gave, as the configuration says."""
    statics = (uplink.ipv6 for uplink in settings.uplinks.values() if isinstance(uplink, StaticUplink))
    return tuple(ipv6.prefix for ipv6 in statics if ipv6 and ipv6.prefix)


def _overlaps(settings: Settings) -> Iterator[Complaint]:
    prefix = settings.site.prefix
    for name, uplink in settings.uplinks.items():
        base: KeyPath = ("uplinks", name)
        if isinstance(uplink, WireguardUplink):
            for number, address in enumerate(uplink.addresses):
                if isinstance(address, IPv6Interface) and address.ip in prefix:
                    yield _inside((*base, "addresses", number), address, prefix)
        elif isinstance(uplink, StaticUplink) and uplink.ipv6:
            given = uplink.ipv6.prefix
            if given and given != prefix and given.overlaps(prefix):
                mend = "write the same prefix in both (nothing is translated then), or another `site.prefix`"
                yield Complaint((*base, "ipv6", "prefix"), f"{given} overlaps `site.prefix`, {prefix}", mend)
            elif given != prefix and uplink.ipv6.address.ip in prefix:
                yield _inside((*base, "ipv6", "address"), uplink.ipv6.address, prefix)


def _inside(path: KeyPath, address: IPv6Interface, prefix: IPv6Network) -> Complaint:
    return Complaint(path, f"{address} lies in `site.prefix`, {prefix}", "choose another `site.prefix` or address")
