"""`make demo-hoster`: a rented server with one /64 and one MAC address, its VMs, their containers, real packets."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Literal

from tests.lab.capture import Capture
from tests.lab.hoster_world import (
    CONFIG,
    CONTAINERS,
    OUTSIDE4,
    OUTSIDE6,
    PERMITTED,
    PREFIX,
    SERVED,
    VMS,
    HosterWorld,
    address,
)
from tests.lab.internet import ask
from tests.lab.node import Node
from tests.lab.story import Story, tell
from tests.lab.wait import wait_for

# Seconds without an answer that are taken for "closed".
SILENCE = 0.4


def chapters(world: HosterWorld, story: Story) -> None:
    """All of them."""
    story.say(f"the hoster's gateway, the router with {CONFIG.name} as it is, three VMs and their containers stand")
    with Capture(world.nodes["provider"], "line", lambda packet: not packet.outgoing) as line:
        containers(world, story)
        between(world, story)
        scan(world, story)
        attack(world, story)
        neighbours(world, story)
    story.chapter("6. The hoster's line, all the while")
    macs = sorted({packet.source_mac for packet in line.packets})
    count = f"{len(line.packets)} packets from {', '.join(macs)}"
    story.note("MAC addresses that the hoster saw", count, well=macs == [PERMITTED])


def containers(world: HosterWorld, story: Story) -> None:
    """Chapter 1."""
    story.chapter("1. Each container has a public address, filtered outside its VM")
    story.check(
        f"web {address('web')}, TCP 443, from outside", partial(_open, world.nodes["outside"], address("web"), OUTSIDE6)
    )
    for name in ("web", "app"):
        story.check(f"{name} reaches {OUTSIDE6} as itself", partial(_open, world.nodes[name], OUTSIDE6, address(name)))


def between(world: HosterWorld, story: Story) -> None:
    """Chapter 2."""
    story.chapter("2. VMs reach each other through the router, and IPv4 by NAT")
    story.check("web on vm1 reaches app on vm2", partial(_open, world.nodes["web"], address("app"), address("web")))
    story.check("vm1 reaches the outside by IPv4", partial(_open, world.nodes["vm1"], OUTSIDE4, "192.0.2.136"))


def scan(world: HosterWorld, story: Story) -> None:
    """Chapter 3."""
    story.chapter("3. A scan from outside finds what the rules open, and nothing else")
    tried, found = 0, []
    for name in (*VMS, *CONTAINERS):
        for text in SERVED:
            port, _, protocol = text.partition("/")
            tried += 1
            word: Literal["tcp", "udp"] = "tcp" if protocol == "tcp" else "udp"
            if ask(world.nodes["outside"], word, address(name), int(port), timeout=SILENCE) is not None:
                found.append(f"{name} {text}")
    story.note(f"open of {tried} ports that are served", ", ".join(found) or "none", well=found == ["web 443/tcp"])


def attack(world: HosterWorld, story: Story) -> None:
    """Chapter 4."""
    story.chapter("4. A VM takes another's address")
    vm, stolen = world.nodes["vmx"], address("app")
    vm.ip(f"addr add {stolen}/128 dev eth0 nodad")
    with Capture(world.nodes["outside"], "eth0", lambda p: p.source == stolen and not p.outgoing) as capture:
        ping = vm.run(["ping", "-6", "-c3", "-i0.2", "-W1", "-I", stolen, OUTSIDE6], check=False)
    vm.ip(f"addr del {stolen}/128 dev eth0")
    story.note(
        f"vmx speaks as app, {stolen}", "answered" if ping.returncode == 0 else "no answer", well=ping.returncode != 0
    )
    story.note("packets of it that came outside", str(len(capture.packets)), well=not capture.packets)
    story.check("app itself goes on", partial(_open, world.nodes["app"], OUTSIDE6, stolen))


def neighbours(world: HosterWorld, story: Story) -> None:
    """Chapter 5."""
    story.chapter("5. A hoster that asks for each address (`neighbours: proxy`)")
    world.load(CONFIG.read_text().replace("neighbours: routed", "neighbours: proxy"))
    world.nodes["provider"].ip(f"route replace {PREFIX} dev line")
    since = time.monotonic()
    story.check("web from outside", partial(_open, world.nodes["outside"], address("web"), OUTSIDE6))
    story.say(f"answered {time.monotonic() - since:.1f} s after the change")
    nobody = PREFIX.network_address + (0x7FF << 52) + 9  # a VM that is not in the plan
    world.nodes["provider"].run(["ping", "-6", "-c1", "-W1", str(nobody)], check=False)
    known = world.nodes["provider"].output(["ip", "-6", "neigh", "show", "dev", "line"])
    for what, wanted, well in ((address("web"), PERMITTED, True), (str(nobody), PERMITTED, False)):
        line = next((each for each in known.splitlines() if each.startswith(f"{what} ")), "")
        answer = PERMITTED if wanted in line else "no answer"
        story.note(f"the gateway asks who has {what}", answer, well=(wanted in line) == well)


def _open(node: Node, target: str, source: str) -> str:
    seen = wait_for(lambda: ask(node, "tcp", target, 443, timeout=1.0), 15, f"{target} to answer", interval=0.1)
    assert seen == source, f"the other side saw {seen}, not {source}"
    return f"open; the other side saw {seen}"


if __name__ == "__main__":
    sys.exit(tell(HosterWorld, chapters))
