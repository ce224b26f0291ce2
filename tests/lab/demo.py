"""`make demo`: the router at work, shown with real packets. Ends with a table of what was seen."""

from __future__ import annotations

import sys
import time
from ipaddress import IPv6Network, ip_address

from tests.lab import bind920
from tests.lab.dns_world import wait_data
from tests.lab.internet import ask
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.stamps import RTM_NEWROUTE, RTMGRP_IPV6_ROUTE, rtnetlink
from tests.lab.story import Story, tell
from tests.lab.topology import INTERNET4, INTERNET6, KPN_NEXT_PREFIX, KPN_PREFIX
from tests.lab.train import Train
from tests.lab.wait import wait_for

ODIDO4 = "198.51.100."
ODIDO6 = "2001:db8:b:"
KPN4 = "192.0.2."
# The laptop's network is subnet 0x10 of site.prefix: so it is of every prefix that maps the plan.
NAS_SUFFIX = ":10::5"


def chapters(lab: Lab, story: Story) -> None:
    """All of them."""
    story.say("two ISPs, two ingresses, a firewall and four hosts stand in namespaces")
    story.say("their daemons start: Kea, radvd, mosquitto, dhcpcd, the agents")
    if bind920.at_hand():
        bind920.give(lab.nodes["firewall"])
    lab.start()
    uplinks(lab, story)
    laptop(lab, story)
    renumber(lab, story)
    failover(lab, story)
    inbound(lab, story)


def uplinks(lab: Lab, story: Story) -> None:
    """Chapter 1."""
    story.chapter("1. Two ISPs come up")
    story.say("waiting for leases, prefixes and duplicate address detection")
    story.check("kpn delegates a /48", lambda: _facts(lab, "kpn", KPN_PREFIX, "1:1"))
    story.check("kpn's IPv4 address", lambda: _facts(lab, "kpn", KPN4, "IPv4"))
    story.check("odido's IPv4 address", lambda: _facts(lab, "odido", ODIDO4, "IPv4"))
    story.check("odido has one IPv6 address, no prefix", lambda: _facts(lab, "odido", ODIDO6, "NAT66"))


def _facts(lab: Lab, node: str, *words: str) -> str:
    """The line of `routerctl status` that has the words, once there is one."""

    def line() -> str | None:
        text = lab.nodes[node].output(["routerctl", "status"])
        joined = text.replace("\n              ", " ")
        return next((each for each in joined.splitlines() if all(word in each for word in words)), None)

    return " ".join(wait_for(line, 15, f"{' '.join(words)} in the status of {node}", interval=0.1).split()[1:])


def laptop(lab: Lab, story: Story) -> None:
    """Chapter 2."""
    story.chapter("2. A laptop on `home` gets addresses and reaches the internet")
    addresses = lab.addresses("laptop")
    story.note("the laptop's IPv4 address, by DHCP", addresses[4], well=addresses[4].startswith("10.10.0."))
    story.note("its IPv6 address, by SLAAC", addresses[6], well=addresses[6].startswith("fd4b:9ca2:1d70:10:"))
    since = time.monotonic()
    story.check("over IPv4 the internet host saw", lambda: _reach(lab, INTERNET4, KPN4))
    story.check("over IPv6 the internet host saw", lambda: _reach(lab, INTERNET6, _net(KPN_PREFIX)))
    sources = lab.internet.sources(since=since)
    internal = sorted(source for source in sources if _internal(source))
    story.note("internal sources captured at the internet host", ", ".join(internal) or "none", well=not internal)
    story.check("asked for nas.home.arpa the firewall says", lambda: _name(lab, "nas.home.arpa", "10.10.0.5"))
    if bind920.at_hand():
        story.check("and for www.example, over TLS to 9.9.9.9", lambda: _name(lab, "www.example", INTERNET4))
    else:
        story.say("names outside: only BIND 9.20 asks its forwarders over TLS, as in the images")


def _name(lab: Lab, name: str, address: str) -> str:
    """What the laptop hears, once it is right."""
    wait_data(lab.nodes["laptop"], name, "A", *((address,) if "www" not in name else (address, "internet.example.")))
    return address


def _reach(lab: Lab, address: str, source: str) -> str:
    """The source that the internet host saw, once it begins as it should."""

    def seen() -> str | None:
        answer = ask(lab.nodes["laptop"], "tcp", address, timeout=1.0)
        return answer if answer and answer.startswith(source) else None

    return wait_for(seen, 15, f"an answer from {address} that saw {source}…", interval=0.1)


def _net(prefix: str) -> str:
    """How addresses of the laptop's network begin under this delegation."""
    return f"{IPv6Network(prefix).network_address}".rstrip(":") + ":10:"


def _internal(source: str) -> bool:
    return ip_address(source).is_private and source.startswith(("10.", "fd"))


def renumber(lab: Lab, story: Story) -> None:
    """Chapter 3."""
    story.chapter(f"3. The ISP withdraws the prefix and delegates {KPN_NEXT_PREFIX}")
    bits = IPv6Network(KPN_NEXT_PREFIX).network_address.packed[:6].hex()
    with Train(lab.nodes["laptop"], INTERNET6) as train, rtnetlink(lab.nodes["kpn"], RTMGRP_IPV6_ROUTE) as routes:
        train.wait_flowing()
        story.say("waiting for the client's next Renew, up to 2 s")
        change = time.monotonic()
        lab.isp["kpn"].delegate(KPN_NEXT_PREFIX)
        known = routes.first(lambda line: line.startswith(f"{RTM_NEWROUTE} ") and bits in line, 15, "the new prefix")
        first = train.wait_source(lambda source: source.startswith(_net(KPN_NEXT_PREFIX)), 15)
        train.wait_flowing()
    story.note("the DHCPv6 client knew it", f"{known - change:.1f} s after the ISP's change (its next Renew)")
    late = (first.time - known) * 1000
    story.note("first packet with the new source", f"{late:.1f} ms after that: {first.source}", well=late < 1000)
    lost = [number for number in train.result.lost if train.result.times[number] > first.time + 0.1]
    story.note("packets lost from 100 ms after that", f"{len(lost)}", well=not lost)


def failover(lab: Lab, story: Story) -> None:
    """Chapter 4."""
    story.chapter("4. kpn's link goes down, and comes back")
    laptop = lab.nodes["laptop"]
    with Train(laptop, INTERNET4) as train4, Train(laptop, INTERNET6) as train6:
        train4.wait_flowing()
        train6.wait_flowing()
        down = time.monotonic()
        lab.isp["kpn"].link_down()
        for name, train, source in (("IPv4, by NAT", train4, ODIDO4), ("IPv6, by NAT66", train6, ODIDO6)):
            try:
                first = train.wait_source(lambda seen, source=source: seen.startswith(source), 10)  # type: ignore[misc]
            except AssertionError as error:
                story.note(f"traffic moved to odido, {name}", str(error)[:100], well=False)
            else:
                story.note(
                    f"traffic moved to odido, {name}", f"after {(first.time - down) * 1000:.0f} ms: {first.source}"
                )
        lab.isp["kpn"].link_up()
        story.say("its link is up again; waiting for leases, the verified path and the hold-down of 2 s")
        up = time.monotonic()
        for family, address, source in (("IPv4", INTERNET4, KPN4), ("IPv6", INTERNET6, _net(KPN_NEXT_PREFIX))):
            story.check(f"new {family} connections are back on kpn", lambda a=address, s=source: _reach(lab, a, s))  # type: ignore[misc]
        story.say(f"kpn's addresses were leased anew meanwhile; back after {time.monotonic() - up:.1f} s")


def inbound(lab: Lab, story: Story) -> None:
    """Chapter 5."""
    story.chapter("5. From outside")
    internet = lab.nodes["internet"]
    address4 = wait_for(lambda: next(iter(lab.nodes["kpn"].addresses("wan", 4)), None), 10, "kpn's IPv4 address")
    address6 = f"{IPv6Network(KPN_NEXT_PREFIX).network_address}".rstrip(":") + NAS_SUFFIX
    for what, address, port, open_ in (
        ("port forward to the nas, TCP 443", address4, 443, True),
        ("pinhole to the nas, TCP 443", address6, 443, True),
        ("no forward, TCP 8080", address4, 8080, False),
        ("no pinhole, TCP 8080", address6, 8080, False),
    ):
        story.check(f"{what} at {address}", lambda a=address, p=port, o=open_: _outside(internet, a, p, o))  # type: ignore[misc]


def _outside(internet: Node, address: str, port: int, open_: bool) -> str:
    if open_:
        source = wait_for(lambda: ask(internet, "tcp", address, port), 10, f"{address} port {port} to answer")
        assert source in {INTERNET4, INTERNET6}, f"the nas saw {source}, not the internet host"
        return f"open; the nas saw {source}"
    assert ask(internet, "tcp", address, port, timeout=1.0) is None, "answered, and should not"
    return "closed"


if __name__ == "__main__":
    sys.exit(tell(Lab, chapters))
