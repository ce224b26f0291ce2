"""The router in containers and in the virtual machine: the images of `make images`, the IPoE demo, PPPoE."""

from __future__ import annotations

from tests.bench.report import Figure, figure
from tests.engine import images, measure
from tests.engine.engine import running
from tests.vm.bench import pppoe_to_packet

RUNS = 5
KILLED = (
    ("ingress-kpn", "dhcpcd"),
    ("firewall", "radvd"),
    ("firewall", "kea-dhcp4"),
    ("firewall", "mosquitto"),
    ("firewall", "router-agent"),
)


def containers() -> tuple[Figure, ...]:
    """Seconds, MB and MiB of the images and of the running demo."""
    with running() as engine:
        images.build(engine)
        ups = [measure.compose_up(engine) for _ in range(RUNS)]
        sizes = {role: [measure.image_size(engine, role)] for role in images.ROLES}
        with measure.project(engine, "dual") as demo:
            memory = [measure.containers_memory(demo)]
            kills = [measure.daemon_kill(demo, service, daemon) for service, daemon in KILLED]
            outages = [seconds for _ in range(RUNS) for seconds in measure.restart_ingress(demo).values()]
    return (
        figure("compose-up", "s", ups),
        figure("containers-memory", "MiB", memory),
        figure("restart-ingress", "s", outages),
        figure("daemon-kill", "s", kills),
        *(figure(f"image-{role}", "MB", size) for role, size in sizes.items()),
    )


def pppoe() -> Figure:
    """Seconds from a new session's delegated prefix to the first translated packet, in the virtual machine."""
    return figure("pppoe-to-packet", "s", [milliseconds / 1000 for milliseconds in pppoe_to_packet()])
