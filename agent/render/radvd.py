"""radvd.conf (radvd.conf(5))."""

from __future__ import annotations

from agent.desired import ConfigFile
from agent.desired.advertise import RadvdConfig, RadvdInterface

# RFC 4861 section 6.2.1: MaxRtrAdvInterval and a third of it. RFC 8106 section 5.1: DNS lifetimes of three intervals,
# so that two lost advertisements harm nobody; RFC 8319 allows more, which would keep a dead resolver longer.
MAX_INTERVAL = 600
MIN_INTERVAL = 198
DNS_LIFETIME = 3 * MAX_INTERVAL


def _interface(interface: RadvdInterface) -> list[str]:
    lines = [
        f"interface {interface.device} {{",
        "    AdvSendAdvert on;",
        "    IgnoreIfMissing on;",
        f"    MinRtrAdvInterval {MIN_INTERVAL};",
        f"    MaxRtrAdvInterval {MAX_INTERVAL};",
        f"    AdvManagedFlag {'on' if interface.managed else 'off'};",
        f"    AdvOtherConfigFlag {'on' if interface.other else 'off'};",
        f"    AdvDefaultLifetime {interface.lifetime};",
    ]
    if interface.mtu is not None:
        lines.append(f"    AdvLinkMTU {interface.mtu};")
    if interface.source is not None:
        lines += ["    AdvRASrcAddress {", f"        {interface.source};", "    };"]
    for prefix in interface.prefixes:
        lines += [
            f"    prefix {prefix.prefix} {{",
            "        AdvOnLink on;",
            f"        AdvAutonomous {'on' if interface.autonomous else 'off'};",
            f"        AdvPreferredLifetime {prefix.preferred};",
            f"        AdvValidLifetime {prefix.valid};",
            "    };",
        ]
    for route in interface.routes:
        # RFC 4191: the way back of an ingress stays over a restart of radvd.
        keep = ["        RemoveRoute off;"] if interface.source is not None else []
        lines += [f"    route {route.prefix} {{", f"        AdvRouteLifetime {route.lifetime};", *keep, "    };"]
    if interface.dns:
        servers = " ".join(str(server) for server in interface.dns)
        lines += [f"    RDNSS {servers} {{", f"        AdvRDNSSLifetime {DNS_LIFETIME};", "    };"]
    if interface.search:
        lines += [f"    DNSSL {' '.join(interface.search)} {{", f"        AdvDNSSLLifetime {DNS_LIFETIME};", "    };"]
    return [*lines, "};"]


def render_radvd(config: RadvdConfig) -> ConfigFile:
    """`radvd.conf`: one block per link, in the order of their names. SIGHUP sends the new advertisement at once."""
    lines = ["# generated: changes are lost"]
    for interface in sorted(config.interfaces, key=lambda i: i.device):
        lines += _interface(interface)
    return ConfigFile(
        path="radvd.conf",
        text="\n".join(lines) + "\n",
        check=("radvd", "--configtest", "-C", "{path}"),
        service="radvd",
        reload="HUP",
    )
