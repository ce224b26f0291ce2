"""debian:trixie-slim made here: its packages from this machine's mirror, imported into an engine without a registry."""

from __future__ import annotations

import re
from pathlib import Path

from tests.engine.store import cache_dir, mirrors, run, say

IMAGE = "debian:trixie-slim"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What Debian's own slim image leaves out.
SLIM = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
)


def private_certificates() -> list[str]:
    """The authorities this machine trusts beyond Debian's own list: a proxy in its way, for example."""

    def certificates(path: Path) -> list[str]:
        text = path.read_text(encoding="ascii", errors="ignore")
        return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.DOTALL)

    public = {c for path in Path("/usr/share/ca-certificates").rglob("*.crt") for c in certificates(path)}
    return [c for c in certificates(CERTIFICATES) if c not in public] if CERTIFICATES.exists() else []


def proxy_options() -> list[str]:
    """This machine's apt proxies, as mmdebstrap options: they hold inside the image too."""
    lines = run("apt-config", "dump").splitlines()
    return [f"--aptopt={line}" for line in lines if re.match(r"Acquire::https?::Proxy\b", line, re.IGNORECASE)]


def tarball() -> Path:
    """The root file system as a tar archive; made when it is not in the cache."""
    path = cache_dir() / "trixie-slim.tar"
    if path.exists():
        return path
    say("making the base image from Debian packages (20 s)")
    path.parent.mkdir(parents=True, exist_ok=True)
    extra = path.parent / "certificates"
    extra.mkdir(exist_ok=True)
    hooks = []
    for number, text in enumerate(private_certificates()):
        name = f"host-{number}.crt"
        (extra / name).write_text(text)
        target = "/usr/local/share/ca-certificates"
        hooks += [f'--customize-hook=mkdir -p "$1{target}"', f"--customize-hook=copy-in {extra / name} {target}"]
    partial = path.with_suffix(".part.tar")
    run(
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        *(f"--dpkgopt={option}" for option in SLIM),
        *proxy_options(),
        *hooks,
        "trixie",
        str(partial),
        *mirrors("trixie"),
    )
    partial.rename(path)
    return path
