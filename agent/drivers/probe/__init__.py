"""Probes: `Prober` asks through an uplink whether it carries packets, `Watcher` asks the ingresses on the DMZ."""

from __future__ import annotations

from agent.drivers.probe.prober import Prober
from agent.drivers.probe.watcher import Watcher

__all__ = ["Prober", "Watcher"]
