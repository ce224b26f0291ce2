"""The firewall's forward chain: one look-up by the pair of devices leads to the rules of a pair of zones."""

from __future__ import annotations

from collections.abc import Iterator

from agent.desired.firewall import INTERNET, FirewallPolicy, Zone
from agent.render.nft_firewall_global import global_refused
from agent.render.nft_firewall_machines import open_ports
from agent.render.nft_firewall_rules import STATE, Pairs, chain
from agent.render.nft_text import braced, quoted

# RFC 4890 section 4.3.3 to 4.3.5: of this link only, of this site only, experimental; errors belong to a flow
# (`related`), echo requests to the rules.
NOT_TRANSIT = (
    "icmpv6 type { 100, 101, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 148, 149,"
    " 151, 152, 153, 200, 201 } counter drop"
)


class _Forward:
    """The chains of one policy."""

    def __init__(self, policy: FirewallPolicy) -> None:
        self.policy = policy
        self.pairs = Pairs(policy)
        self.transit = policy.transit
        self.dmz = quoted(policy.transit.device)

    def _between(self, source: Zone, destination: Zone) -> Iterator[list[str]]:
        if not self.pairs.has(source.name, destination.name):
            return
        name = f"fwd_{source.name}_{destination.name}"
        ends = source.name, destination.name
        lines, chains = self.pairs.rules(name, *ends, self.pairs.rest(*ends))
        yield from chains
        yield chain(name, lines)

    def _outward(self, source: Zone) -> Iterator[list[str]]:
        """To the internet. The mark becomes the connection's: it stays on its uplink."""
        if not self.pairs.has(source.name, INTERNET):
            return
        local = [] if self.policy.local_outside else ["ip6 daddr fc00::/7 counter drop"]
        name = f"fwd_{source.name}_{INTERNET}"
        rules, chains = self.pairs.rules(name, source.name, INTERNET, self.pairs.rest(source.name, INTERNET))
        yield from chains
        yield chain(
            name,
            [
                "ip daddr @bogons4 counter drop",
                "ip6 daddr @bogons6 counter drop",
                *local,
                NOT_TRANSIT,
                "meta mark & 0xff == 0 counter drop",
                "ct mark set meta mark & 0x3ff",
                *rules,
            ],
        )

    def _inward(self, destination: Zone) -> Iterator[list[str]]:
        """From the internet: by an ingress whose MAC is known, through which the replies go back."""
        if not self.pairs.has(INTERNET, destination.name):
            return
        accepted = ["ip daddr . meta l4proto . th dport @forwards4 accept"]
        name = f"fwd_{INTERNET}_{destination.name}"
        rest = [
            *(accepted if destination.name in self.pairs.forwarded else []),
            *open_ports(destination),
            *self.pairs.rest(INTERNET, destination.name),
        ]
        rules, chains = self.pairs.rules(name, INTERNET, destination.name, rest)
        yield from chains
        yield chain(
            name,
            [
                NOT_TRANSIT,
                "meta mark & 0xff == 0 counter drop",
                "ct mark set meta mark & 0x3ff",
                *rules,
            ],
        )

    def _split(self, name: str, side: str, near: tuple[str, str], far: tuple[str, str]) -> list[str]:
        """On the DMZ's device the address tells the DMZ from the internet."""
        verdict = self.pairs.goto("fwd", *near)
        return chain(
            name,
            [f"ip {side} @transit4 {verdict}", f"ip6 {side} @transit6 {verdict}", self.pairs.goto("fwd", *far)],
        )

    def chains(self) -> Iterator[list[str]]:
        """Forward and all its chains."""
        zones, transit = self.policy.zones, self.transit
        dispatch: list[str] = []
        for source in zones:
            device = quoted(source.device)
            for destination in zones:
                yield from self._between(source, destination)
                if self.pairs.has(source.name, destination.name):
                    dispatch.append(
                        f"{device} . {quoted(destination.device)} : goto fwd_{source.name}_{destination.name}"
                    )
            yield from self._between(source, transit)
            yield from self._outward(source)
            yield self._split(f"out_{source.name}", "daddr", (source.name, transit.name), (source.name, INTERNET))
            dispatch.append(f"{device} . {self.dmz} : goto out_{source.name}")
            yield from self._between(transit, source)
            yield from self._inward(source)
            yield self._split(f"from_{source.name}", "saddr", (transit.name, source.name), (INTERNET, source.name))
            dispatch.append(f"{self.dmz} . {device} : goto from_{source.name}")
        yield from self._between(transit, transit)
        yield from self._outward(transit)
        yield self._split("dmz_out", "daddr", (transit.name, transit.name), (transit.name, INTERNET))
        yield chain(
            "dmz_around",
            ["ip saddr @transit4 goto dmz_out", "ip6 saddr @transit6 goto dmz_out", "counter drop"],
        )
        dispatch.append(f"{self.dmz} . {self.dmz} : goto dmz_around")
        yield [
            "chain filter_forward {",
            "    type filter hook forward priority filter; policy drop;",
            *(f"    {line}" for line in (*global_refused(self.policy), *STATE)),
            "    ip6 daddr ff00::/8 counter drop",
            f"    iifname . oifname vmap {braced(dispatch)}",
            # Said once more: a new chain has its policy some microseconds after its rules.
            "    counter drop",
            "}",
        ]


def forward_chains(policy: FirewallPolicy) -> Iterator[list[str]]:
    """All chains of the forward hook, each after those it goes to."""
    yield from _Forward(policy).chains()
