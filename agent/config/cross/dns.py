"""`dns`: forwarders, and the names for the outside."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.cross.words import there_are
from agent.config.fields import near
from agent.config.finding import Complaint, KeyPath
from agent.config.settings import Settings


def check(settings: Settings) -> Iterator[Complaint]:
    """Forwarders first, then public names."""
    yield from _forwarders(settings)
    yield from _blocks(settings)
    yield from _public(settings)


def _forwarders(settings: Settings) -> Iterator[Complaint]:
    own = {network.ipv4.ip for network in settings.networks.values() if network.ipv4 is not None}
    own6 = {found.ip for name in settings.networks if (found := settings.firewall_address6(name)) is not None}
    for number, forwarder in enumerate(settings.dns.forwarders):
        if forwarder.address in own | own6:
            message = f"{forwarder.address} is the firewall itself: it would ask itself for ever"
            yield Complaint(("dns", "forwarders", number, "address"), message, "write a resolver outside")


def _blocks(settings: Settings) -> Iterator[Complaint]:
    for name, block in settings.dns.blocks.items():
        path: KeyPath = ("dns", "blocks", name)
        if bool(block.names) == (block.file is not None):
            what = "both `names` and `file`" if block.names else "no names"
            yield Complaint(
                path, f"the block `{name}` has {what}", "write one of `names: […]` and `file: …`", at_key=True
            )
        for network in block.networks:
            if network not in settings.networks:
                mend = near(network, settings.networks, there_are(settings.networks, "networks"))
                yield Complaint((*path, "networks"), f"there is no network `{network}`", mend)


def _public(settings: Settings) -> Iterator[Complaint]:
    public = settings.dns.public
    named = {name: host.public for name, host in settings.hosts.items() if host.public is not None}
    if public is None:
        for name in named:
            mend = "add `dns.public` with its zone, server and key_file"
            yield Complaint(("hosts", name, "public"), "there is no zone for public names", mend)
        return
    if public.zone == settings.site.domain:
        mend = "give the inside a domain of its own, like home.arpa"
        message = f"`{public.zone}` is `site.domain` too: inside, the outside's names would be hidden"
        yield Complaint(("dns", "public", "zone"), message, mend, level="warning")
    seen: dict[str, str] = {}
    for name, text in named.items():
        at = ("hosts", name, "public")
        if text != public.zone and not text.endswith(f".{public.zone}"):
            yield Complaint(at, f"`{text}` is not in the zone {public.zone}", f"write it like {name}.{public.zone}")
        if seen.setdefault(text, name) != name:
            yield Complaint(at, f"`{name}` and `{seen[text]}` have one public name", "give each host its own")
    if not named:
        mend = "add `public: NAME` to a host, or delete `dns.public`"
        yield Complaint(("dns", "public"), "no host has a public name", mend, level="warning", at_key=True)
