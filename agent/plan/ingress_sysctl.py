"""Kernel settings of an ingress. Keys are paths below /proc/sys, since device names may hold dots."""

from __future__ import annotations

# RFC 4787 REQ-5, RFC 6092 REC-12: UDP at least 2 min idle. RFC 5382 REQ-5: TCP established 2 h 4 min (the kernel's
# default is 5 days), transitory 4 min.
_TIMEOUTS = {
    "udp_timeout": 120,
    "udp_timeout_stream": 300,
    "icmp_timeout": 60,  # RFC 5508 REQ-2
    "icmpv6_timeout": 60,
    "tcp_timeout_syn_sent": 240,
    "tcp_timeout_syn_recv": 240,
    "tcp_timeout_fin_wait": 240,
    "tcp_timeout_close_wait": 240,
    "tcp_timeout_last_ack": 240,
}


def sysctls(wan: str | None, dmz: str | None, *, static: bool, proxy: bool) -> tuple[tuple[str, str], ...]:
    """All settings, in the order to write them: forwarding first, since writing it resets others.

    `wan`, `dmz`: devices that exist. `static`: addresses of the uplink are written in the configuration, so no
    advertisement is taken there; otherwise dhcpcd takes them. `proxy`: answer neighbour solicitations for others.
    """
    settings = [("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]
    for device in ("all", "default", wan, dmz):
        if device is None:
            continue
        four, six = f"net/ipv4/conf/{device}", f"net/ipv6/conf/{device}"
        settings += [
            (f"{four}/rp_filter", "0"),  # the rules know what is spoofed; 1 and 2 kill IPv4 without a default route
            (f"{four}/arp_ignore", "1"),  # else it answers on the uplink for its DMZ address; nft inet sees no ARP
            (f"{four}/arp_announce", "2"),
            (f"{four}/send_redirects", "0"),
            (f"{four}/accept_redirects", "0"),
            (f"{four}/accept_source_route", "0"),
            (f"{six}/accept_redirects", "0"),
        ]
    # A container engine makes it 1 on a network that it gives no IPv6 addresses of its own.
    settings += [(f"net/ipv6/conf/{device}/disable_ipv6", "0") for device in (wan, dmz) if device is not None]
    if dmz is not None:
        six = f"net/ipv6/conf/{dmz}"
        settings += [
            # The way back to the internal plan comes as route information (RFC 4191); the default route never does.
            (f"{six}/accept_ra_defrtr", "0"),
            (f"{six}/accept_ra_rt_info_max_plen", "64"),
            (f"{six}/accept_ra", "2"),
        ]
    if wan is not None:
        # A next hop that died is given up within 10 s of the next packet, not within a minute (arp(7)): what the kernel
        # knows of it is evidence (agent.health).
        for family in ("ipv4", "ipv6"):
            settings.append((f"net/{family}/neigh/{wan}/base_reachable_time_ms", "4000"))
            settings.append((f"net/{family}/neigh/{wan}/delay_first_probe_time", "1"))
    if wan is not None and static:
        settings.append((f"net/ipv6/conf/{wan}/accept_ra", "0"))
    if wan is not None and proxy:
        # `all`: without it kernels before 5.19 forward a probe that is sent to the address itself.
        settings += [(f"net/ipv6/conf/{device}/proxy_ndp", "1") for device in ("all", wan)]
        settings.append((f"net/ipv6/neigh/{wan}/proxy_delay", "0"))
    settings += [(f"net/netfilter/nf_conntrack_{name}", str(seconds)) for name, seconds in _TIMEOUTS.items()]
    return tuple(settings)
