"""What Kea's DHCP servers say to D2, for Kea 2.2 to 2.6."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.desired.dns import D2_PORT, NAMED_ADDRESS


def ddns_connection(domains: Iterable[str]) -> dict[str, Any]:
    """The global parameters of a server, given the domain of each subnet; none where all are empty."""
    if not any(domains):
        return {}
    return {
        "dhcp-ddns": {"enable-updates": True, "server-ip": str(NAMED_ADDRESS), "server-port": D2_PORT},
        "ddns-send-updates": False,
        # The router names its clients, whatever they would rather do themselves (RFC 4702 section 4).
        "ddns-override-client-update": True,
        "ddns-override-no-update": True,
        # For `lease4-resend-ddns`. Not `ddns-update-on-renew`: it takes a name away before it adds it again.
        "hooks-libraries": [{"library": "libdhcp_lease_cmds.so"}],
        "hostname-char-set": "[^A-Za-z0-9.-]",
        "hostname-char-replacement": "-",
    }


def ddns_subnet(domain: str) -> dict[str, Any]:
    """The parameters of a subnet whose leases become names under `domain`; none where it is empty."""
    return {"ddns-send-updates": True, "ddns-qualifying-suffix": f"{domain}."} if domain else {}
