"""A tiny initramfs: busybox, the modules that reach the disk, and a script that goes on there."""

from __future__ import annotations

import gzip
import lzma
import stat
import subprocess
from pathlib import Path

INIT = """#!/bin/busybox sh
# Load what reaches the disk, mount it and the share with the rest of the story, and go on there.
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod "/modules/$module"; done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root || exec /bin/busybox sh
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro in /root/mnt/in
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /bin/sh /mnt/in/init
"""


def _entry(name: str, mode: int, data: bytes, number: int) -> bytes:
    """One member of a cpio archive in the kernel's `newc` format."""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def _module_files(tree: Path, release: str, modules: tuple[str, ...]) -> list[str]:
    """Paths of the modules in the order of loading, without those the kernel has built in."""
    files: dict[str, None] = {}
    for module in modules:
        argv = ["chroot", str(tree), "modprobe", "-S", release, "--show-depends", module]
        for line in subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines():
            word, _, path = line.partition(" ")
            if word == "insmod":
                files[path.split()[0]] = None
    return list(files)


def make(tree: Path, release: str, modules: tuple[str, ...], target: Path) -> None:
    """Write the initramfs for the kernel `release` found in `tree` to `target`."""
    members = [("dev", stat.S_IFDIR | 0o755, b""), ("root", stat.S_IFDIR | 0o755, b"")]
    members += [("bin", stat.S_IFDIR | 0o755, b""), ("modules", stat.S_IFDIR | 0o755, b"")]
    members.append(("bin/busybox", stat.S_IFREG | 0o755, (tree / "usr/bin/busybox").read_bytes()))
    members.append(("init", stat.S_IFREG | 0o755, INIT.encode()))
    order = []
    for path in _module_files(tree, release, modules):
        data = (tree / path.lstrip("/")).read_bytes()
        name = Path(path).name.removesuffix(".xz")
        members.append(
            (f"modules/{name}", stat.S_IFREG | 0o644, lzma.decompress(data) if path.endswith(".xz") else data)
        )
        order.append(name)
    members.append(("modules/order", stat.S_IFREG | 0o644, " ".join(order).encode()))
    archive = b"".join(_entry(*member, number) for number, member in enumerate(members, 1))
    archive += _entry("TRAILER!!!", 0, b"", 0)
    target.write_bytes(gzip.compress(archive, 1))
