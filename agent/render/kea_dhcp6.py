"""kea-dhcp6.conf: Kea's JSON, for Kea 2.2 to 2.6."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from agent.desired import ConfigFile
from agent.desired.dhcp6 import Dhcp6Subnet, KeaDhcp6Config, Reservation6
from agent.render.kea import DATABASE, INTERFACES, loggers
from agent.render.kea_ddns import ddns_connection, ddns_subnet

SOCKET = "kea6-ctrl-socket"
# RFC 8415 section 21.23: hosts that have options alone ask again; by default only after a day.
REFRESH = 3600
# Renew and rebind as RFC 8415 section 21.4 recommends: at 0.5 and 0.8 of the preferred lifetime, which is the valid one
# here: the prefix is ours for good.
RENEW, REBIND = 0.5, 0.8


def _reservation(reservation: Reservation6) -> dict[str, Any]:
    known = {"duid": reservation.duid} if reservation.duid else {"hw-address": reservation.mac}
    found: dict[str, Any] = {**known, "ip-addresses": [str(reservation.address)]}
    if reservation.hostname:
        found["hostname"] = reservation.hostname
    return found


def _options(subnet: Dhcp6Subnet) -> list[dict[str, Any]]:
    options: list[dict[str, Any]] = [{"name": "information-refresh-time", "data": str(REFRESH)}]
    if subnet.dns:
        options.append({"name": "dns-servers", "data": ", ".join(map(str, subnet.dns))})
    if subnet.search:
        options.append({"name": "domain-search", "data": ", ".join(subnet.search)})
    return options


def _subnet(subnet: Dhcp6Subnet) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": subnet.number,
        "subnet": str(subnet.network),
        "interface": subnet.device,
        # There is one DHCPv6 server on a network of ours: two messages are enough (RFC 8415 section 18.3.1).
        "rapid-commit": True,
        "preferred-lifetime": subnet.lease,
        "valid-lifetime": subnet.lease,
        "renew-timer": int(subnet.lease * RENEW),
        "rebind-timer": int(subnet.lease * REBIND),
        "option-data": _options(subnet),
        # Means nothing to Kea; it makes the file differ when the device is another one of the same name.
        "user-context": {"ifindex": subnet.index},
        "reservations": [_reservation(reservation) for reservation in subnet.reservations],
        **ddns_subnet(subnet.ddns),
    }
    if subnet.pool is not None:
        first, last = subnet.pool
        found["pools"] = [{"pool": f"{first} - {last}"}]
    if subnet.delegation is not None:
        found["pd-pools"] = [
            {
                "prefix": str(subnet.delegation.network_address),
                "prefix-len": subnet.delegation.prefixlen,
                "delegated-len": subnet.delegated_length,
            }
        ]
    return found


@lru_cache(maxsize=4)
def render_kea_dhcp6(config: KeaDhcp6Config) -> ConfigFile:
    """`kea-dhcp6.conf`: the subnets in the order of their numbers. Cached: events of uplinks do not change it."""
    subnets = sorted(config.subnets, key=lambda s: s.number)
    server: dict[str, Any] = {
        # Its DUID is kept there: clients know a server by it. Kea 2.2 heeds no variable of the environment for that.
        "data-directory": config.state,
        "interfaces-config": {"interfaces": [subnet.device for subnet in subnets], **INTERFACES},
        "control-socket": {"socket-type": "unix", "socket-name": f"{config.run}/{SOCKET}"},
        "lease-database": {**DATABASE, "name": f"{config.state}/dhcp6.leases"},
        # A DUID is often made of another interface's MAC; an address of the form of EUI-64 is made of this one's.
        "mac-sources": ["client-link-addr-option", "ipv6-link-local", "duid"],
        "host-reservation-identifiers": ["duid", "hw-address"],
        "subnet6": [_subnet(subnet) for subnet in subnets],
        **ddns_connection(subnet.ddns for subnet in subnets),
        "loggers": loggers("kea-dhcp6"),
    }
    if any(subnet.delegation is not None for subnet in subnets):
        # Kea keeps no address of the router that it delegates to; this hook is told it with each lease.
        server.setdefault("hooks-libraries", []).append(
            {"library": "libdhcp_run_script.so", "parameters": {"name": config.hook, "sync": False}}
        )
    return ConfigFile(
        path="kea-dhcp6.conf",
        text=json.dumps({"Dhcp6": server}, indent=2) + "\n",
        # Kea 2.6.3 keeps leases below this directory only.
        check=("env", f"KEA_DHCP_DATA_DIR={config.state}", "kea-dhcp6", "-t", "{path}"),
        service="kea-dhcp6",
        reload="HUP",
        socket=f"{config.run}/{SOCKET}",
    )
