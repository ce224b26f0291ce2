"""Which files of dinit.d make up a container, as the images lay them out."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "dinit.d"
# Files beside the services that go to /usr/lib/router, and the directory each lies in.
HELPERS = {
    "closed.nft": "common",
    "dhcpcd-hook": "ingress",
    "kea-hook": "firewall",
    "logged": "common",
    "pppd-dial": "ingress",
}


def service_files(role: str) -> dict[str, Path]:
    """Name → file of the services of a role, `ingress` or `firewall`: /etc/dinit.d of its image."""
    directories = (ROOT / "common", ROOT / role)
    return {
        path.name: path for directory in directories for path in sorted(directory.iterdir()) if path.name not in HELPERS
    }


def helper_files(role: str) -> dict[str, Path]:
    """Name → file of what goes to /usr/lib/router of a role's image."""
    return {name: ROOT / place / name for name, place in HELPERS.items() if place in {"common", role}}
