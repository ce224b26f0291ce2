"""named.conf (named.conf(5)), for BIND 9.18 and 9.20."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from agent.desired import ConfigFile
from agent.desired.dns import GENERATED, KEY_FILE, KEY_NAME, BlockZone, NamedConfig, Upstream

# Where the images (Debian's ca-certificates) keep the certificate authorities.
CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
VIEW = "all"
TRUST_ANCHORS = "/etc/bind/bind.keys"
# Served here as empty, so that no question about them leaves: RFC 6303 and 7793 (AS112), RFC 6761, 6762, 7686, 8375.
# named has them built in, but not where it only forwards.
EMPTY_ZONES = (
    "0.in-addr.arpa",
    "10.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "168.192.in-addr.arpa",
    *(f"{number}.172.in-addr.arpa" for number in range(16, 32)),
    *(f"{number}.100.in-addr.arpa" for number in range(64, 128)),
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    f"{'0.' * 32}ip6.arpa",
    f"1.{'0.' * 31}ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "home.arpa",
    "invalid",
    "local",
    "onion",
)


def _list(items: Iterable[object]) -> str:
    return "{ " + "".join(f"{item}; " for item in items) + "}"


def _upstream(upstream: Upstream) -> str:
    tls = f" tls {_tls_name(upstream)}" if upstream.tls_name else ""
    return f"{upstream.address} port {upstream.port}{tls}"


def _tls_name(upstream: Upstream) -> str:
    return f'"{upstream.tls_name}"'


def _tls(config: NamedConfig) -> list[str]:
    """A block for each name of a certificate: RFC 8310's strict privacy profile."""
    names = dict.fromkeys(_tls_name(upstream) for upstream in config.upstreams if upstream.tls_name)
    return [f'tls {name} {{ remote-hostname {name}; ca-file "{CA_FILE}"; }};' for name in names]


def _forwarding(config: NamedConfig) -> list[str]:
    if not config.forward:
        return []
    if not config.upstreams:
        return ["    # No forwarder can be asked: nothing outside is resolved.", "    recursion no;"]
    return ["    forward only;", f"    forwarders {_list(map(_upstream, config.upstreams))};"]


def _options(config: NamedConfig) -> list[str]:
    own = [f'"{domain}"' for domain in config.private_domains]
    lines = [
        "options {",
        f'    directory "{config.state}";',
        '    pid-file "/run/named/named.pid";',
        "    session-keyfile none;",
        f"    listen-on {_list(config.listen4)};",
        f"    listen-on-v6 {_list(config.listen6)};",
        '    allow-query { "clients"; };',
        '    allow-recursion { "clients"; };',
        '    allow-query-cache { "clients"; };',
        "    allow-transfer { none; };",
        "    notify no;",
        *_forwarding(config),
        "    dnssec-validation auto;",
        # The root's key is built in. A file here replaces it, as an emulated internet must; 9.18 looks there by itself.
        f'    bindkeys-file "{TRUST_ANCHORS}";',
        f"    deny-answer-addresses {_list(config.private)} except-from {_list(own)};",
        "    empty-zones-enable no;",
        "    minimal-responses yes;",
        f"    max-cache-size {config.cache}m;",
        "    version none;",
        "    hostname none;",
        "    server-id none;",
        "    querylog yes;",
    ]
    if own:
        # Names inside somebody's tunnel are seldom signed.
        lines.append(f"    validate-except {_list(own)};")
    return [*lines, "};"]


def _zones(config: NamedConfig) -> list[str]:
    lines = []
    for name in config.zones:
        lines += [
            f'zone "{name}" {{',
            "    type primary;",
            f'    file "{name}.zone";',
            f'    update-policy {{ grant "{KEY_NAME}" zonesub ANY; }};',
            f'    allow-transfer {{ key "{KEY_NAME}"; }};',
            "};",
        ]
    names = (name for name in EMPTY_ZONES if name not in config.zones)
    lines += [f'zone "{name}" {{ type primary; file "empty"; }};' for name in names]
    return [*lines, 'zone "localhost" { type primary; file "localhost"; };']


def _views(config: NamedConfig) -> list[str]:
    """All zones; in views where some clients do not get all names. They share zones and cache with the first."""
    if not config.blocked:
        return _zones(config)
    others = {client for part in config.blocked for client in part.clients}
    first = ("127.0.0.1", "::1", *(client for client in config.clients if client not in others))
    lines = [f'view "{VIEW}" {{', f"match-clients {_list(first)};", *_zones(config), "};"]
    shared = (*config.zones, *(name for name in EMPTY_ZONES if name not in config.zones), "localhost")
    for number, part in enumerate(config.blocked, 1):
        policies = _list(f'zone "{name}"' for name, _ in part.zones)
        lines += [
            f'view "blocked{number}" {{',
            f"    match-clients {_list(part.clients)};",
            f'    attach-cache "{VIEW}";',
            f"    response-policy {policies} break-dnssec yes qname-wait-recurse no;",
            *(f'    zone "{name}" {{ in-view "{VIEW}"; }};' for name in shared),
            *(
                f'    zone "{name}" {{ type primary; file "{file}"; allow-query {{ none; }}; }};'
                for name, file in part.zones
            ),
            "};",
        ]
    return lines


def render_block_zone(zone: BlockZone) -> ConfigFile:
    """A response policy zone (RPZ): `CNAME .` says that a name does not exist."""
    lines = ["; generated: changes are lost", "$TTL 300", "@ SOA localhost. hostmaster.localhost. 1 3600 600 604800 60"]
    lines += ["@ NS localhost.", *(f"{prefix}{name} CNAME ." for name in zone.names for prefix in ("", "*."))]
    return ConfigFile(
        path=f"named-block-{zone.name}.zone",
        text="\n".join(lines) + "\n",
        check=("named-checkzone", "-q", f"{zone.name}.block", "{path}"),
        service="named",
        reload="HUP",
    )


def _foreign(config: NamedConfig) -> bool:
    """Whether a zone of somebody else's is among them."""
    return any(not file.startswith(GENERATED) for part in config.blocked for _, file in part.zones)


@lru_cache(maxsize=4)
def render_named(config: NamedConfig) -> ConfigFile:
    """`named.conf`. SIGHUP makes named read it again; it keeps the old one should the new one be wrong."""
    lines = [
        "# generated: changes are lost",
        f'include "{KEY_FILE.replace("/var/lib/router/named", config.state)}";',
        f'acl "clients" {_list(("127.0.0.1", "::1", *config.clients))};',
        *_tls(config),
        *_options(config),
        # No rndc: signals do.
        "controls { };",
        "logging {",
        "    channel lines { stderr; severity info; print-category yes; print-severity yes; };",
        "    channel faults { stderr; severity notice; print-category yes; print-severity yes; };",
        "    category default { lines; };",
        "    category zoneload { faults; };",
        # Not by `querylog`, which named heeds when it starts and never again.
        *(
            f"    category {name} {{ {'lines' if config.log else 'null'}; }};"
            for name in ("queries", "query-errors", "rpz")
        ),
        # Other people's servers, and each update that went well: D2 and the agent say what did not.
        *(f"    category {name} {{ null; }};" for name in ("lame-servers", "edns-disabled", "update", "xfer-out")),
        "};",
        *_views(config),
    ]
    return ConfigFile(
        path="named.conf",
        text="\n".join(lines) + "\n",
        # With -z it loads the zones too, with -j their journals: a list of somebody else's may be wrong.
        check=("named-checkconf", *(("-z", "-j") if _foreign(config) else ()), "{path}"),
        service="named",
        reload="HUP",
    )
