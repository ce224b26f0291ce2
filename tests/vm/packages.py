"""What the machine is made of. Everything here is part of the key under which a built machine is kept."""

from __future__ import annotations

SUITE = "trixie"  # its kernel has PPP and forwards PPPoE five times as fast as bookworm's under emulation

GUEST = (
    # the kernel, and what loads its modules before the disk is there
    "linux-image-amd64",
    "kmod",
    "busybox-static",
    # what a node of the lab runs, as in tests/packages.sh
    "python3",
    "python3-nftables",
    "nftables",
    "iproute2",
    "iputils-ping",
    "procps",
    "dhcpcd-base",
    "kea-dhcp4-server",
    "kea-dhcp6-server",
    "kea-dhcp-ddns-server",
    "bind9",
    "bind9-dnsutils",
    "radvd",
    "mosquitto",
    "mosquitto-clients",
    "conntrack",
    "tcpdump",
    "ulogd2",
    "iperf3",
    # what only this kernel can run
    "ppp",
    "pppoe",
    "wireguard-tools",
    # what a Docker engine needs of its host
    "runc",
    "iptables",
)
# The suite's emulator is two to three times as fast as bookworm's. Its Python is the guest's: it compiles the project
# for the guest at the host's speed.
EMULATOR = ("qemu-system-x86", "python3")

# Neither documentation nor drivers for devices that the machine does not have: half the size, half the time.
EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/lib/udev/hwdb.d/*",
    "/usr/lib/modules/*/kernel/sound/*",
    "/usr/lib/modules/*/kernel/drivers/gpu/*",
    "/usr/lib/modules/*/kernel/drivers/infiniband/*",
    "/usr/lib/modules/*/kernel/drivers/media/*",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/*",
    "/usr/lib/modules/*/kernel/drivers/net/wireless/*",
    "/usr/lib/modules/*/kernel/drivers/scsi/*",
)
INCLUDED = ("/usr/share/doc/*/copyright",)

# Loaded before the disk can be mounted.
EARLY_MODULES = ("virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "ext4", "overlay")

# Tools of the developer that no test in the machine calls.
LEFT_OUT_WHEELS = ("import-linter", "mypy", "ruff", "types-PyYAML")

GUEST_PYTHON = "3.13"
CHECKOUT = "/checkout"  # where the machine has the project
