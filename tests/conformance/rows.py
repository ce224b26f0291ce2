"""The requirements, row by row: number, id, what is asked; and where we differ, why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One requirement. `deviation`: where and why the router differs (a part of it may be proven all the same)."""

    rfc: str
    name: str
    what: str
    deviation: str = ""


TITLES = {
    "1332": "PPP: IPv4 (IPCP)",
    "2131": "DHCP",
    "2136": "Dynamic updates in DNS",
    "2516": "PPPoE",
    "3442": "Classless static routes (DHCP option 121)",
    "4191": "Route information in router advertisements",
    "4638": "PPPoE MTU, and the MSS behind it",
    "4703": "Names of DHCP clients",
    "4787": "NAT behaviour for UDP (IPv4)",
    "4861": "Neighbour discovery",
    "4890": "Filtering ICMPv6 in firewalls",
    "5072": "PPP: IPv6 (IPV6CP)",
    "5382": "NAT behaviour for TCP (IPv4)",
    "5508": "NAT behaviour for ICMP (IPv4)",
    "6092": "Simple security in IPv6 CPE",
    "6296": "IPv6-to-IPv6 network prefix translation",
    "7084": "Requirements for IPv6 CE routers",
    "7857": "Updates to NAT behaviour",
    "8028": "First-hop router selection",
    "8106": "DNS in router advertisements",
    "8319": "Lifetimes of router advertisements",
    "8415": "DHCPv6",
    "9096": "Reaction of CE routers to renumbering",
}

_OWN_PREFIX = "`site.prefix` is required and written once by a person: it stays, over every reset of the router"
_STRICT = "the filter is address- and port-dependent: the strictest class, as most firewalls that people run"

ROWS = (
    Row("7084", "G-3", "nothing is forwarded before the router knows its addresses and rules"),
    Row("7084", "G-4", "without an IPv6 uplink the router is no default router: lifetime 0"),
    Row("7084", "G-5", "when the last IPv6 uplink goes, that is advertised at once"),
    Row("7084", "W-1..3", "the uplink acts as a host: SLAAC or DHCPv6, default route by router advertisement"),
    Row("7084", "W-5", "the DUID stays over restarts and re-creation of the container"),
    Row("7084", "WAA", "address, DNS servers and SOL_MAX_RT by DHCPv6"),
    Row("7084", "WLL-2/3", "over PPP both families fail and recover each by itself"),
    Row("7084", "WPD-1..4", "prefix delegation with a hint; another length is accepted"),
    Row(
        "7084",
        "WPD-8",
        "a part of the prefix that the ISP excludes for its own link (RFC 6603) is not used inside",
        "it is not read: a network whose `/64` is the excluded one would have no replies; name another `subnet` for it",
    ),
    Row("7084", "WPD-5", "the unassigned part of a prefix is unreachable, and does not loop"),
    Row("7084", "ULA-1", "a ULA prefix can be generated", _OWN_PREFIX),
    Row("7084", "ULA-2", "the ULA prefix is stable, and can be changed by a person", _OWN_PREFIX),
    Row("7084", "ULA-3", "the ULA prefix can be overridden by configuration", _OWN_PREFIX),
    Row("7084", "ULA-4", "no internal source or destination crosses an uplink, also while rules are replaced"),
    Row(
        "7084",
        "ULA-5",
        "no default router is advertised where hosts have internal addresses only",
        "with translation an internal address does reach the internet: a default router is advertised while an uplink "
        "carries IPv6, lifetime 0 else",
    ),
    Row("7084", "L-2", "a /64 for each network"),
    Row("7084", "L-3", "the way to the internal and the delegated prefixes is told, also without an uplink"),
    Row("7084", "L-6", "hosts make themselves addresses and take the default route"),
    Row(
        "7084",
        "L-14",
        "a source that has no mapping is told so: ICMPv6 unreachable, code 5",
    ),
    Row("7084", "L-13", "a withdrawn prefix is announced with lifetimes of 0 while hosts may hold it, over restarts"),
    Row("7084", "L-8", "a DHCPv6 server on the LAN: of addresses, or of options alone"),
    Row(
        "7084",
        "L-9",
        "M 0 and O 1 unless DHCPv6 has addresses",
        "O is 0 where the network's `dhcp6` says `none`, the default: no server would answer, RDNSS and DNSSL serve",
    ),
    Row("7084", "L-10", "DNS servers and domain search by DHCPv6"),
    Row("7084", "S-2", "only sources of the network's own prefixes leave it (BCP 38)"),
    Row(
        "9096",
        "L-13",
        "LAN lifetimes: preferred 2700 s, valid 5400 s at most",
        "holds for global prefixes only; the internal prefix never goes: 14400 and 86400 s spare hosts the churn",
    ),
    Row(
        "9096",
        "L-15/16",
        "lifetimes of global prefixes: never longer than what the ISP leaves, 2700 and 5400 s at most",
    ),
    Row(
        "9096",
        "3.5",
        "a prefix that went is announced with lifetimes of 0 and its flags, also by an agent that restarts",
    ),
    Row("9096", "WPD-9/10", "nothing is released on a restart, and DUID and IAIDs stay"),
    Row("8415", "IA_NA", "addresses by DHCPv6, fixed ones for hosts of the configuration"),
    Row("8415", "IA_PD", "prefixes for routers downstream, with a route that lives as long as the lease"),
    Row("8415", "renew", "a lease that is renewed at T1 goes on, one that is not ends with its route"),
    Row("8415", "Information-request", "options alone, to be refreshed within the hour"),
    Row("8415", "renewal", "leases are renewed at T1; a prefix that comes back with lifetime 0 is gone at once"),
    Row("8415", "valid", "a prefix whose valid lifetime is over is not used"),
    Row(
        "6296",
        "mapping",
        "out and back gives the same address, checksums are right, every host has an address of its own outside",
        "not checksum-neutral: the checksum of TCP, UDP and ICMPv6 is adjusted instead, and the host's own bits stay; "
        "DCCP, AH and transport-mode ESP, whose checksums are out of reach, break",
    ),
    Row("6296", "hairpin", "an inside host reaches another by its external address"),
    Row("6296", "ICMPv6", "the packet inside of an error is translated too, in each direction"),
    Row("6092", "REC-1", "a multicast source is not forwarded"),
    Row("6092", "REC-2", "multicast does not cross the edge of its scope"),
    Row(
        "6092",
        "REC-3",
        "addresses that are forbidden on the internet are not forwarded",
        "documentation prefixes (2001:db8::/32) pass: test networks are made of them",
    ),
    Row("6092", "REC-4", "routing header 0 is dropped"),
    Row("6092", "REC-5", "from inside only sources of the inside"),
    Row("6092", "REC-6", "from outside no source of the inside"),
    Row(
        "6092",
        "REC-7",
        "unique local addresses do not cross the edge",
        "where an uplink itself has such an address (a tunnel into another site), those destinations pass",
    ),
    Row("6092", "REC-8", "no DNS server answers outside"),
    Row("6092", "REC-9", "no DHCPv6 server answers outside"),
    Row("6092", "REC-10", "an ICMPv6 error that belongs to no flow is not forwarded"),
    Row("6092", "REC-11", "endpoint-independent filtering for transparency", _STRICT),
    Row("6092", "REC-12", "state of other protocols lives two minutes at least"),
    Row("6092", "REC-14", "state of UDP lives two minutes at least"),
    Row("6092", "REC-17", "endpoint-independent filtering of UDP", _STRICT),
    Row("6092", "REC-18", "an ICMPv6 error that belongs to a UDP flow is forwarded"),
    Row("6092", "REC-19", "no ICMPv6 message ends the state of a UDP flow"),
    Row("6092", "REC-21", "AH passes", "out, and its answers; unasked from outside it needs a rule like everything"),
    Row("6092", "REC-22", "ESP passes", "out, and its answers; unasked from outside it needs a rule like everything"),
    Row("6092", "REC-24", "IKE passes", "out, and its answers; unasked from outside it needs a rule like everything"),
    Row("6092", "REC-31", "every valid sequence of TCP passes, simultaneous open included"),
    Row("6092", "REC-33", "endpoint-independent filtering of TCP", _STRICT),
    Row(
        "6092",
        "REC-34",
        "an unsolicited SYN from outside is answered with an error",
        "dropped in silence: a scan learns nothing; `action: reject` in a rule answers",
    ),
    Row("6092", "REC-35", "state of TCP lives 2 h 4 min, in transition 4 minutes at least"),
    Row("6092", "REC-36", "an ICMPv6 error that belongs to a TCP flow is forwarded"),
    Row("6092", "REC-37", "no ICMPv6 message ends the state of a TCP flow"),
    Row(
        "6092",
        "REC-48",
        "hosts can ask for inbound traffic (PCP)",
        "nobody can: what enters is in one file that a person wrote; docker hosts ask within their `may_expose`",
    ),
    Row("6092", "REC-49", "a transparent mode can be chosen: `{ from: internet, to: any, action: accept }`"),
    Row("6092", "REC-50", "no management service answers outside"),
    Row("4890", "4.3.1", "errors that belong to a flow are forwarded: types 1, 2, 3 and 4"),
    Row(
        "4890",
        "4.3.1 echo",
        "echo requests and replies pass",
        "out, and their answers; the uplink's own address answers no echo request, and one to a host needs a rule",
    ),
    Row("4890", "4.3.3", "what belongs to a link only is not forwarded: discovery, advertisements, MLD"),
    Row("4890", "4.3.5", "node information and experimental types are not forwarded"),
    Row(
        "4787",
        "REQ-1",
        "endpoint-independent mapping",
        "a host keeps its port towards everybody while no other host has the same one, as if it were that; "
        "address- and port-dependent where two hosts collide",
    ),
    Row("4787", "REQ-2", "a host's flows share one external address"),
    Row("4787", "REQ-5", "a UDP mapping lives two minutes at least"),
    Row("4787", "REQ-8", "endpoint-independent filtering recommended", _STRICT),
    Row("4787", "REQ-9", "hairpin of UDP and TCP"),
    Row("4787", "REQ-12", "no ICMP message ends a mapping"),
    Row("4787", "REQ-14", "fragments pass, out of order too"),
    Row("5382", "REQ-5", "a TCP mapping lives 2 h 4 min, in transition 4 minutes at least"),
    Row("5382", "REQ-8", "hairpin of TCP, with the external source"),
    Row("5508", "REQ-1", "pings of several hosts pass"),
    Row("5508", "REQ-2", "a mapping of a ping lives 60 s at least"),
    Row("5508", "REQ-4", "the packet inside of an error is translated, nothing internal shows"),
    Row("7857", "5", "a port of UDP and the same port of TCP are mapped apart"),
    Row("8028", "egress", "with global addresses an uplink is chosen by the source"),
    Row(
        "8028", "deprecated", "the prefix of an uplink that is not used is deprecated, that of the one in use preferred"
    ),
    Row("8106", "5.1", "RDNSS and DNSSL live three advertisement intervals"),
    Row("8319", "4", "the router lifetime is three advertisement intervals"),
    Row("4191", "DMZ", "an ingress takes route information from the firewall alone"),
    Row("4191", "route information", "an ingress learns its way back, and no default router"),
    Row("4191", "over a restart", "the way back outlives a restart of radvd"),
    Row("3442", "examples", "the option's bytes are those of the RFC's examples"),
    Row("3442", "option 121", "an ingress gets the way back, and no default route"),
    Row("2516", "PADT", "a container that stops says good-bye"),
    Row("2516", "a stale session", "a session that died is made anew, whatever the ISP still holds"),
    Row("1332", "alone", "IPv4 without IPv6"),
    Row("5072", "alone", "IPv6 without IPv4"),
    Row("4638", "MSS", "the MSS is clamped both ways, in both families"),
    Row(
        "4638",
        "mtu 1500 with PPP-Max-Payload",
        "where the ISP's access concentrator answers the tag, packets of 1500 bytes",
    ),
    Row("4638", "mtu 1492 without PPP-Max-Payload", "without the tag the link has an MTU of 1492"),
    Row("4861", "6.2.5", "a final advertisement with lifetime 0 when the firewall stops"),
    Row("2136", "update", "a lease becomes a name in both directions, and a public name follows its uplinks"),
    Row("2136", "TSIG", "who does not have the key changes nothing"),
    Row("4703", "DDNS", "a name and its reverse, with a DHCID record, as long as the lease holds"),
    Row("4703", "conflict", "a name that is another's, or a host's of the configuration, is not taken"),
    Row("2131", "DMZ", "the same address for the same ingress"),
)
