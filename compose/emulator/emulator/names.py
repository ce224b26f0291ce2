"""The resolver of the emulated internet: all its names, over TLS too, signed (`dns/make.sh` made what it serves)."""

from __future__ import annotations

from pathlib import Path

DATA = Path("/opt/emulator/dns")
RUN = Path("/run/names")
_CONFIG = f"""
tls emulated {{ cert-file "{DATA}/server.pem"; key-file "{DATA}/server.key"; }};
options {{
    directory "{RUN}";
    pid-file none;
    session-keyfile none;
    listen-on port 853 tls emulated {{ any; }};
    listen-on-v6 port 853 tls emulated {{ any; }};
    listen-on {{ any; }};
    listen-on-v6 {{ any; }};
    allow-query {{ any; }};
    recursion no;
    dnssec-validation no;
}};
controls {{ }};
zone "." {{ type primary; file "{DATA}/root.zone.signed"; }};
"""


def command() -> list[str]:
    """Write its file, and give the command that runs it."""
    RUN.mkdir(parents=True, exist_ok=True)
    path = RUN / "named.conf"
    path.write_text(_CONFIG)
    return ["named", "-g", "-n", "1", "-c", str(path)]
