"""What a private dockerd changes on the host: recorded before it starts, put back after it ended."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

# dockerd switches these on, or makes them matter.
SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "net/ipv4/conf/all/route_localnet",
)
RECORD = "before.json"


def _tables() -> list[str]:
    """Tables of the kernel's packet filter as `family name`."""
    done = subprocess.run(("nft", "list", "tables"), capture_output=True, text=True, check=False)
    return [line.removeprefix("table ") for line in done.stdout.splitlines()]


def record(directory: Path) -> None:
    """Write down what is there before dockerd starts."""
    values = {}
    for name in SYSCTLS:
        with contextlib.suppress(OSError):
            values[name] = Path("/proc/sys", name).read_text().strip()
    links = sorted(path.name for path in Path("/sys/class/net").iterdir())
    (directory / RECORD).write_text(json.dumps({"sysctls": values, "tables": _tables(), "links": links}))


def clear(directory: Path) -> None:
    """After dockerd ended, or before a start: unmount what is left, put the host back, remove the directory."""
    if not directory.exists():
        return
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        subprocess.run(("umount", "-l", mount), check=False)
    with contextlib.suppress(OSError, ValueError):
        before = json.loads((directory / RECORD).read_text())
        _restore(before)
    shutil.rmtree(directory, ignore_errors=True)


def _restore(before: dict[str, object]) -> None:
    tables, links, sysctls = before["tables"], before["links"], before["sysctls"]
    assert isinstance(tables, list)
    assert isinstance(links, list)
    assert isinstance(sysctls, dict)
    for table in _tables():
        family, _, name = table.partition(" ")
        # Only the tables of the iptables programs, which dockerd calls: others may be somebody's own.
        if table not in tables and family in {"ip", "ip6"} and name in {"filter", "nat", "raw", "mangle"}:
            subprocess.run(("nft", "delete", "table", family, name), check=False)
    for link in (path.name for path in Path("/sys/class/net").iterdir()):
        if link not in links and link.startswith(("docker", "br-")):
            subprocess.run(("ip", "link", "del", link), check=False)
    for name, value in sysctls.items():
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text(str(value))
