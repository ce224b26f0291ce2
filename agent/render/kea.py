"""kea-dhcp4.conf: Kea's JSON, for Kea 2.2 to 2.6."""

from __future__ import annotations

import json
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from agent.desired import ConfigFile
from agent.desired.dhcp4 import Dhcp4Subnet, KeaDhcp4Config, Reservation
from agent.render.kea_ddns import ddns_connection, ddns_subnet

ROUTERS, NAME_SERVERS, DOMAIN_NAME, SEARCH, CLASSLESS_ROUTES = 3, 6, 15, 119, 121
SOCKET = "kea4-ctrl-socket"
# It starts while addresses are still tentative, or a link is without carrier.
INTERFACES = {"service-sockets-max-retries": 20, "service-sockets-retry-wait-time": 500}
# A row of a lease file that is broken (a disk that was full) costs that one lease, never the start of the server.
DATABASE = {"type": "memfile", "persist": True, "max-row-errors": 0}


def loggers(name: str) -> list[dict[str, Any]]:
    """A server's log goes to its standard output."""
    return [{"name": name, "severity": "INFO", "output_options": [{"output": "stdout", "flush": True}]}]


def classless_routes(routes: tuple[tuple[IPv4Network, IPv4Address], ...]) -> str:
    """Option 121 as hex (RFC 3442): per route the prefix length, its significant octets, the next hop."""
    data = b""
    for network, router in routes:
        octets = (network.prefixlen + 7) // 8
        data += bytes([network.prefixlen]) + network.network_address.packed[:octets] + router.packed
    return data.hex().upper()


def _reservation(reservation: Reservation) -> dict[str, Any]:
    found: dict[str, Any] = {"ip-address": str(reservation.address)}
    if reservation.mac:
        found["hw-address"] = reservation.mac
    else:
        found["client-id"] = (b"\0" + reservation.client_id.encode()).hex().upper()
    if reservation.hostname:
        found["hostname"] = reservation.hostname
    return found


def _options(subnet: Dhcp4Subnet) -> list[dict[str, Any]]:
    options: list[dict[str, Any]] = []
    chosen = dict(subnet.options)
    if subnet.router is not None and ROUTERS not in chosen:
        options.append({"name": "routers", "data": str(subnet.router)})
    if subnet.dns and NAME_SERVERS not in chosen:
        options.append({"name": "domain-name-servers", "data": ", ".join(map(str, subnet.dns))})
    if subnet.domain and DOMAIN_NAME not in chosen:
        options.append({"name": "domain-name", "data": subnet.domain})
    if subnet.domain and SEARCH not in chosen:
        options.append({"name": "domain-search", "data": subnet.domain})
    # Bytes: no server needs to know what an option is made of.
    options += [
        {"code": code, "space": "dhcp4", "csv-format": False, "data": data.hex().upper()}
        for code, data in chosen.items()
    ]
    if subnet.routes:
        # Kea knows this option by name from 2.5 on; its bytes it takes in every version.
        options.append(
            {
                "code": CLASSLESS_ROUTES,
                "space": "dhcp4",
                "csv-format": False,
                "data": classless_routes(subnet.routes),
                "always-send": True,
            }
        )
    return options


def _subnet(subnet: Dhcp4Subnet) -> dict[str, Any]:
    pools = (subnet.pool, *subnet.more_pools)
    return {
        "id": subnet.number,
        "subnet": str(subnet.network),
        "interface": subnet.device,
        "pools": [{"pool": f"{first} - {last}"} for first, last in pools],
        "valid-lifetime": subnet.lease,
        "option-data": _options(subnet),
        # Means nothing to Kea; it makes the file differ when the device is another one of the same name.
        "user-context": {"ifindex": subnet.index},
        "reservations": [_reservation(reservation) for reservation in subnet.reservations],
        **ddns_subnet(subnet.ddns),
    }


@lru_cache(maxsize=4)
def render_kea_dhcp4(config: KeaDhcp4Config) -> ConfigFile:
    """`kea-dhcp4.conf`: the subnets in the order of their numbers. Cached: events of uplinks do not change it."""
    subnets = sorted(config.subnets, key=lambda s: s.number)
    document = {
        "Dhcp4": {
            "interfaces-config": {
                "interfaces": [subnet.device for subnet in subnets],
                "dhcp-socket-type": "raw",
                **INTERFACES,
            },
            "control-socket": {"socket-type": "unix", "socket-name": f"{config.run}/{SOCKET}"},
            "lease-database": {**DATABASE, "name": f"{config.state}/dhcp4.leases"},
            "authoritative": True,
            "calculate-tee-times": True,
            # An ingress is known by its client id and, where the configuration has it, by its MAC: one address.
            "ip-reservations-unique": False,
            "host-reservation-identifiers": ["client-id", "hw-address"],
            "subnet4": [_subnet(subnet) for subnet in subnets],
            **ddns_connection(subnet.ddns for subnet in subnets),
            "loggers": loggers("kea-dhcp4"),
        }
    }
    return ConfigFile(
        path="kea-dhcp4.conf",
        text=json.dumps(document, indent=2) + "\n",
        # Kea 2.6.3 keeps leases below this directory only.
        check=("env", f"KEA_DHCP_DATA_DIR={config.state}", "kea-dhcp4", "-t", "{path}"),
        service="kea-dhcp4",
        reload="HUP",
        socket=f"{config.run}/{SOCKET}",
    )
