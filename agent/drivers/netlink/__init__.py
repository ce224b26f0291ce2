"""The kernel's network state as events: rtnetlink(7)."""

from agent.drivers.netlink.watcher import NetlinkWatcher

__all__ = ["NetlinkWatcher"]
