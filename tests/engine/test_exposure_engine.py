"""Containers of a real Docker engine open what they may: from `docker start` to a connection from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.store import EngineMissingError
from tests.engine.vm_world import VM, VmWorld
from tests.lab.wait import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world() -> Iterator[VmWorld]:
    try:
        with VmWorld() as found:
            yield found
    except EngineMissingError as error:
        pytest.skip(f"no Docker engine: {error}")


def test_a_real_container_is_opened_and_closed(world: VmWorld) -> None:
    engine = world.engine
    engine.docker("network", "create", "own")
    world.create("web", "--label", "router.expose=443/tcp")
    world.create("mine", "--network", "own", "--label", "router.expose=443,22")
    world.create("quiet")
    engine.docker("start", "web", "mine", "quiet")
    addresses = {name: world.address(name) for name in ("web", "mine", "quiet")}
    for name in ("web", "mine"):
        wait_for(lambda n=name: world.asked(addresses[n]), 20, world.said)  # type: ignore[misc]
    assert not world.asked(addresses["quiet"])
    requests = {(r["container"], r["port"]): r for r in world.exposures()["requests"]}
    assert requests["web", "443/tcp"]["state"] == "open"
    assert requests["mine", "22/tcp"]["reason"] == f"{VM} may expose 443/tcp only (may_expose)"
    # Its process ends by itself; another is removed; the third goes on.
    engine.docker("kill", "web")
    wait_for(lambda: not world.forwards(addresses["web"]), 20, world.said)
    engine.docker("rm", "-f", "mine")
    wait_for(lambda: not world.forwards(addresses["mine"]), 20, world.said)
    engine.docker("start", "web")
    wait_for(lambda: world.asked(world.address("web")), 20, world.said)
    engine.docker("rm", "-f", "web", "quiet")
    wait_for(lambda: not [r for r in world.exposures()["requests"] if r["state"] == "open"], 20, world.said)


def test_the_engines_own_filter_is_reported(world: VmWorld) -> None:
    engine = world.engine
    routed = ("--opt", "com.docker.network.bridge.gateway_mode_ipv6=routed")
    engine.docker("network", "create", *routed, "routed")
    world.create("unpublished", "--network", "routed", "--label", "router.expose=443")
    world.create("published", "--network", "routed", "--label", "router.expose=443", "-p", "443")
    engine.docker("start", "unpublished", "published")

    def reasons(name: str) -> list[str]:
        return [r["reason"] for r in world.exposures()["requests"] if r["container"] == name]

    wait_for(lambda: reasons("published") and "not published" in "".join(reasons("unpublished")), 20, world.said)
    assert reasons("published") == [""]
    wait_for(lambda: world.asked(world.address("published")), 20, world.said)
    engine.docker("rm", "-f", "unpublished", "published")
