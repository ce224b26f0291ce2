"""Builds the machine from Debian packages and Python wheels, once for a given list of them.

python -m tests.vm.build

The result is kept under `$XDG_CACHE_HOME/container-router/vm/<key>` (default `~/.cache`): `disk.ext4`, `vmlinuz`,
`initrd.gz` and `emulator/`, a directory with QEMU and its libraries. Nothing is installed and no loop device or mount
is needed, only root (for chroot) and mmdebstrap.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.vm import initramfs, packages

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
Progress = Callable[[str], None]


class MissingError(RuntimeError):
    """The machine cannot be built here; the text says what is missing and how to mend it."""


def missing() -> str | None:
    """Why no machine can be built or run here, None when it can."""
    if platform.machine() != "x86_64":
        return f"the virtual machine is built for x86_64, this is {platform.machine()}"
    if os.geteuid() != 0:
        return "the virtual machine is built as root (chroot, file owners)"
    tools = [tool for tool in ("mmdebstrap", "mke2fs") if not shutil.which(tool)]
    if tools:
        return f"{', '.join(tools)} missing: run `sh tests/packages.sh vm`"
    return None


def wheels() -> list[str]:
    """The requirements of the project and of its tests, from pyproject.toml."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [one for one in wanted if not one.startswith(packages.LEFT_OUT_WHEELS)]


def key() -> str:
    """Names a machine: another list of packages or another way of building is another machine."""
    digest = hashlib.sha256("\n".join(wheels()).encode())
    for name in ("build.py", "initramfs.py", "packages.py"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:16]


def cache() -> Path:
    """The directory that holds built machines."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "container-router" / "vm"


def _run(argv: list[str], log: Path) -> None:
    with log.open("ab") as output:
        done = subprocess.run(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise RuntimeError(f"{argv[0]} exited {done.returncode}:\n{tail}")


def _mirror() -> str:
    """The Debian mirror that this machine uses itself."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if not done.stdout.split():
        raise MissingError("apt knows no mirror of Debian: run `apt-get update`, or mend its sources")
    return done.stdout.split()[0]


def _apt_options() -> list[str]:
    """This machine's proxies and its leniency, which mmdebstrap's private apt would not see."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until")
    return [f"--aptopt={line}" for line in dump.splitlines() if line.startswith(wanted)]


def _bootstrap(tree: Path, include: tuple[str, ...], log: Path) -> None:
    """A Debian tree with `include`. Nothing is started in it, and no initramfs is made for its kernel."""
    silence = 'printf "#!/bin/sh\\nexit 101\\n" >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"'
    divert = "/usr/sbin/update-initramfs"
    divert = (
        f'chroot "$1" dpkg-divert --local --rename --divert {divert}.off --add {divert}; ln -s /bin/true "$1{divert}"'
    )
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--architectures=amd64", f"--include={','.join(include)}"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in packages.EXCLUDED]
    argv += [f"--dpkgopt=path-include={pattern}" for pattern in packages.INCLUDED]
    argv += [f"--essential-hook={silence}", f"--essential-hook={divert}", *_apt_options()]
    argv += [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    _run([*argv, packages.SUITE, str(tree), _mirror()], log)


def _add_wheels(site: Path, log: Path) -> None:
    """The Python packages, for the guest's Python rather than for the one that runs here."""
    argv = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile"]
    argv += ["--root-user-action=ignore", "--target", str(site), "--python-version", packages.GUEST_PYTHON]
    argv += ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64"]
    _run([*argv, *wheels()], log)


def _add_environment(tree: Path, site: Path, log: Path) -> None:
    """The guest's `.venv`: the wheels, the project by a path file, its two commands."""
    environment = tree / "opt/venv"
    target = environment / f"lib/python{packages.GUEST_PYTHON}/site-packages"
    _run(["chroot", str(tree), "python3", "-m", "venv", "--system-site-packages", "--without-pip", "/opt/venv"], log)
    shutil.copytree(site, target, dirs_exist_ok=True)
    (target / "checkout.pth").write_text(f"{packages.CHECKOUT}\n")
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in scripts.items():
        module, _, function = entry.partition(":")
        script = environment / "bin" / name
        script.write_text(
            f"#!/opt/venv/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        )
        script.chmod(0o755)
    _run(["chroot", str(tree), "/opt/venv/bin/python", "-m", "compileall", "-q", "/opt/venv/lib"], log)


def _make_disk(tree: Path, target: Path, log: Path) -> None:
    """An ext4 image of the tree, by mke2fs alone: no mount."""
    for path in ("mnt/in", "mnt/out", "proc", "sys", "dev", "run", "tmp", packages.CHECKOUT.lstrip("/")):
        (tree / path).mkdir(parents=True, exist_ok=True)
    with target.open("wb") as disk:
        disk.truncate(2 << 30)
    features = "^metadata_csum,^64bit,^has_journal"
    _run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", features, "-m", "0", "-d", str(tree), str(target)], log)


def _prune(keep: Path) -> None:
    """Remove other machines that nobody has used for a week: another branch may still want its own."""
    for other in keep.parent.iterdir():
        if other != keep and time.time() - other.stat().st_mtime > 7 * 86400:
            shutil.rmtree(other, ignore_errors=True)


def _assemble(work: Path, log: Path, progress: Progress) -> None:
    tree, site = work / "tree", work / "site"
    started = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        emulator = pool.submit(_bootstrap, work / "emulator", packages.EMULATOR, work / "emulator.log")
        pip = pool.submit(_add_wheels, site, work / "wheels.log")
        _bootstrap(tree, packages.GUEST, log)
        progress(f"vm: guest unpacked, {time.monotonic() - started:.0f} s")
        pip.result()
        _add_environment(tree, site, log)
        (release,) = (path.name for path in (tree / "usr/lib/modules").iterdir())
        initramfs.make(tree, release, packages.EARLY_MODULES, work / "initrd.gz")
        shutil.move(tree / "boot" / f"vmlinuz-{release}", work / "vmlinuz")
        shutil.rmtree(tree / "boot")
        _make_disk(tree, work / "disk.ext4", log)
        progress(f"vm: disk made, {time.monotonic() - started:.0f} s")
        emulator.result()
    for used in (tree, site):
        shutil.rmtree(used)


def build(progress: Progress = print) -> Path:
    """The directory of the machine, built when it is not there. MissingError, or RuntimeError with a log's end."""
    if reason := missing():
        raise MissingError(reason)
    target = cache() / key()
    if target.exists():
        os.utime(target)
        return target
    progress(f"vm: building {target} from packages (one to two minutes, kept for the next run)")
    work = target.with_name(f"{target.name}.{os.getpid()}")
    work.mkdir(parents=True)
    started = time.monotonic()
    try:
        _assemble(work, work / "guest.log", progress)
        if not target.exists():  # another run may have been faster
            work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _prune(target)
    progress(f"vm: built in {time.monotonic() - started:.0f} s")
    return target


if __name__ == "__main__":
    try:
        print(build())
    except MissingError as error:
        sys.exit(str(error))
