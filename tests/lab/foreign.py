"""Programs of other machines (a hypervisor, a VM), from Debian packages that are unpacked and never installed here.

ifupdown2 would take the place of the host's own ifupdown; what is only unpacked changes nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.lab.netns import Namespace

PACKAGES = ("ifupdown2", "netplan.io", "libnetplan0")
NETWORKD = Path("/lib/systemd/systemd-networkd")


class ForeignMissingError(Exception):
    """The programs cannot be had here; the text says why."""


def unpacked() -> Path:
    """The directory that the packages are unpacked in; downloads them when they are not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "container-router"
    root = cache / "foreign"
    if (root / ".done").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    (root / "archives").mkdir(parents=True)
    _run("apt-get", "download", "-q", *PACKAGES, cwd=root / "archives")
    for package in sorted((root / "archives").glob("*.deb")):
        _run("dpkg-deb", "-x", str(package), str(root), cwd=root)
    # It looks at the name it is called by.
    (root / "ifup").symlink_to(root / "usr/share/ifupdown2/__main__.py")
    (root / ".done").touch()
    return root


def _run(*argv: str, cwd: Path) -> None:
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    except OSError as error:
        raise ForeignMissingError(f"{argv[0]}: {error.strerror}") from None
    if done.returncode:
        raise ForeignMissingError(f"`{' '.join(argv)}` failed: {(done.stderr + done.stdout).strip()[-300:]}")


@contextmanager
def machine(
    space: Namespace, script: str, directories: Mapping[str, Mapping[str, str]]
) -> Iterator[subprocess.Popen[str]]:
    """Run a shell script as the machine that the namespace is, with a /run and changes to /etc of its own.

    `directories`: directory → {file: text}. /sys is read-only, which networkd takes for a container without udev.
    """
    over = "lowerdir=/etc,upperdir=/run/over/etc,workdir=/run/over/work"
    lines = [
        "mount -t tmpfs tmpfs /run",
        "mkdir -p /run/systemd/netif/links /run/network /run/over/etc /run/over/work",
        # networkd becomes a user of its own, where there is one.
        "chown -R systemd-network /run/systemd/netif 2>/dev/null || true",
        f"mount -t overlay -o {over} overlay /etc",
        "mount -o remount,bind,ro /sys",
    ]
    for directory, files in directories.items():
        lines.append(f"mkdir -p {directory}")
        for name, text in files.items():
            lines.append(f"cat > {directory}/{name} <<'END-OF-FILE'\n{text}\nEND-OF-FILE")
    command = ("unshare", "-m", "--propagation", "private", "sh", "-euc", "\n".join((*lines, script)))
    process = space.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
