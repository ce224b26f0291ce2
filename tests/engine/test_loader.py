"""The dockerd that fills the machine's disk beside the one of the tests."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.engine import base
from tests.engine.engine import Engine
from tests.engine.store import unpacked
from tests.vm import build, containers

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def test_the_loader_leaves_the_engine_its_bridge(engine: Engine) -> None:
    if not engine.private:
        pytest.skip("another dockerd is tried beside a private engine only")
    before = sorted(path.name for path in Path("/sys/class/net").iterdir())
    assert "docker0" in before
    build.cache().mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="loader.", dir=build.cache()))
    try:
        with containers.loader(unpacked(), work, work / "data") as second:
            assert second.docker("network", "ls", "-q", "--filter", "driver=bridge") == ""
    finally:
        shutil.rmtree(work, ignore_errors=True)
    assert sorted(path.name for path in Path("/sys/class/net").iterdir()) == before
    engine.docker("run", "--rm", base.IMAGE, "true")
