"""Boots the machine, runs a shell script in it and brings the exit status and the results back.

python -m tests.vm.run [SCRIPT]     default: a shell's worth of facts about the machine

The script runs as root in an unpacked copy of this checkout; what it writes to /mnt/out is in the results directory
afterwards. Its output is the machine's console, passed to `progress` line by line.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.vm import build, packages

HERE = Path(__file__).parent
FACTS = "uname -r; python3 --version; nft --version; cat /proc/uptime\n"
KERNEL = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check random.trust_cpu=1"
_LEFT_OUT = ("__pycache__", "build", "node_modules")


class CrashError(RuntimeError):
    """The machine ended without an exit status; the text is the end of its console."""


def _pack(machine: Path, target: Path) -> None:
    """The checkout without what is hidden or made from it, compiled for the guest's Python."""

    def unwanted(_: str, names: list[str]) -> list[str]:
        return [name for name in names if name.startswith(".") or name in _LEFT_OUT or name.endswith(".egg-info")]

    with tempfile.TemporaryDirectory(prefix="vm-checkout-") as place:
        tree = Path(place, "checkout")
        shutil.copytree(build.REPOSITORY, tree, ignore=unwanted)
        python = [*_loader(machine), f"{machine}/emulator/usr/bin/python{packages.GUEST_PYTHON}"]
        compiling = [*python, "-m", "compileall", "-q", "-s", str(tree), "-p", packages.CHECKOUT, str(tree)]
        subprocess.run(compiling, check=True, env={"PYTHONHOME": f"{machine}/emulator/usr"})
        with tarfile.open(target, "w") as archive:
            archive.add(tree, ".")


def _loader(machine: Path) -> list[str]:
    """Runs a program of the emulator's tree by that tree's own loader and libraries: nothing of it is installed."""
    libraries = machine / "emulator/usr/lib/x86_64-linux-gnu"
    return [f"{libraries}/ld-linux-x86-64.so.2", "--library-path", str(libraries)]


def command(
    machine: Path, shared: Path, results: Path, *, seconds: int, disk: Path | None = None, memory: int = 2560
) -> list[str]:
    """QEMU's command line. `disk` is the machine's /dev/vdb."""
    emulator = machine / "emulator"
    argv = [*_loader(machine), f"{emulator}/usr/bin/qemu-system-x86_64", "-L", f"{emulator}/usr/share/qemu"]
    argv += ["-L", f"{emulator}/usr/share/seabios", "-M", "q35,usb=off,vmport=off,smbus=off,sata=off"]
    # Emulation everywhere: a nested /dev/kvm that opens but cannot run a kernel is common. VM_ACCEL=kvm asks for it.
    accel = os.environ.get("VM_ACCEL", "tcg,thread=multi,tb-size=512")
    argv += ["-accel", accel, "-cpu", "max", "-smp", "2", "-m", str(memory)]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]
    argv += ["-kernel", f"{machine}/vmlinuz", "-initrd", f"{machine}/initrd.gz"]
    argv += ["-append", f"{KERNEL} vm.seconds={seconds}"]
    for path in filter(None, (machine / "disk.ext4", disk)):
        argv += ["-drive", f"file={path},if=virtio,format=raw,snapshot=on,cache=unsafe"]
    for tag, path, rest in (("in", shared, ",readonly=on"), ("out", results, "")):
        argv += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap{rest}"]
    return argv


def _follow(process: subprocess.Popen[str], deadline: float, progress: Callable[[str], None]) -> list[str]:
    """Pass the console on until the machine powers off; all of its lines. After the deadline it is killed."""
    lines: list[str] = []
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            waiting.put(line.rstrip())
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            lines.append("the machine did not end in time and was killed")
            return lines
        if line is None:
            return lines
        lines.append(line)
        if not line.startswith("["):  # the kernel's own, of interest after a crash
            progress(line)


def run(
    script: str,
    results: Path,
    *,
    seconds: int = 540,
    disk: Path | None = None,
    progress: Callable[[str], None] = print,
) -> int:
    """Run `script` in the machine for at most `seconds`; its exit status. `results` is a directory of the caller's.

    `disk` is a second disk, which the machine may change for itself.

    Raises build.MissingError where no machine can be built, CrashError when it ended without a status.
    """
    machine = build.build(progress)
    shared = Path(tempfile.mkdtemp(prefix="vm-"))
    (results / "status").unlink(missing_ok=True)
    try:
        _pack(machine, shared / "checkout.tar")
        (shared / "script").write_text(script)
        shutil.copy(HERE / "guest" / "init", shared / "init")
        argv = command(machine, shared, results, seconds=seconds, disk=disk)
        environment = {**os.environ, "QEMU_MODULE_DIR": f"{machine}/emulator/usr/lib/x86_64-linux-gnu/qemu"}
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        ) as process:
            try:
                lines = _follow(process, time.monotonic() + seconds + 60, progress)
            finally:
                process.kill()
    finally:
        shutil.rmtree(shared)
    status = results / "status"
    if not status.exists():
        raise CrashError("\n".join(["the machine ended without an exit status:", *lines[-40:]]))
    return int(status.read_text())


def main() -> int:
    """Run a script, or show what the machine is."""
    script = Path(sys.argv[1]).read_text() if len(sys.argv) > 1 else FACTS
    with tempfile.TemporaryDirectory(prefix="vm-results-") as results:
        return run(script, Path(results))


if __name__ == "__main__":
    sys.exit(main())
