"""The container engine of a docker host, watched over its unix socket. GET is all that is ever asked."""

from __future__ import annotations

from agent.drivers.docker.http import EngineError
from agent.drivers.docker.watcher import EngineWatcher

__all__ = ["EngineError", "EngineWatcher"]
