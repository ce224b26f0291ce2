"""kea-dhcp-ddns.conf: Kea's D2 (RFC 4703), for Kea 2.2 to 2.6."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from agent.desired import ConfigFile
from agent.desired.dns import D2_PORT, DNS_PORT, KEY_JSON, KEY_NAME, NAMED_ADDRESS, KeaD2Config


def _domains(zones: tuple[str, ...]) -> dict[str, Any]:
    servers = [{"ip-address": str(NAMED_ADDRESS), "port": DNS_PORT}]
    return {"ddns-domains": [{"name": f"{z}.", "key-name": KEY_NAME, "dns-servers": servers} for z in zones]}


@lru_cache(maxsize=4)
def render_kea_d2(config: KeaD2Config) -> ConfigFile:
    """`kea-dhcp-ddns.conf`. The key is in a file of its own, which Kea reads itself."""
    placeholder = "@key@"
    document = {
        "DhcpDdns": {
            "ip-address": str(NAMED_ADDRESS),
            "port": D2_PORT,
            "control-socket": {"socket-type": "unix", "socket-name": f"{config.run}/kea-ddns-ctrl-socket"},
            "tsig-keys": [placeholder],
            "forward-ddns": _domains(config.forward),
            "reverse-ddns": _domains(config.reverse),
            "loggers": [
                {"name": "kea-dhcp-ddns", "severity": "WARN", "output_options": [{"output": "stdout", "flush": True}]}
            ],
        }
    }
    text = json.dumps(document, indent=2).replace(f'"{placeholder}"', f'<?include "{KEY_JSON}"?>')
    return ConfigFile(
        path="kea-dhcp-ddns.conf",
        text=text + "\n",
        check=("kea-dhcp-ddns", "-t", "{path}"),
        service="kea-dhcp-ddns",
        reload="HUP",
    )
