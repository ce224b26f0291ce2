"""One engine and one set of images for all tests marked `engine`, which are skipped without them, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine import images
from tests.engine.engine import Engine, running
from tests.engine.store import EngineMissingError


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine: the host's or a private one."""
    try:
        with running() as found:
            yield found
    except EngineMissingError as error:
        pytest.skip(f"no Docker engine: {error}")


@pytest.fixture(scope="session")
def built(engine: Engine) -> Engine:
    """The engine, with the images of this work tree in it."""
    if reason := images.missing(engine):
        pytest.skip(reason)
    images.build(engine)
    return engine
