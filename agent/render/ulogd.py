"""ulogd.conf (ulogd(8), and the comments of Debian's own file)."""

from __future__ import annotations

from agent.desired import ConfigFile
from agent.desired.log import UlogdConfig

_ERRORS = 7  # what ulogd says of itself: errors only, not each plug-in it loads


def render_ulogd(config: UlogdConfig) -> ConfigFile:
    """Give ulogd.conf. Each packet is a line like the kernel's own: prefix, interfaces, addresses, ports."""
    lines = [
        "# Packets that rules log. Generated: changes are overwritten.",
        "[global]",
        'logfile="stdout"',
        f"loglevel={_ERRORS}",
        "stack=packets:NFLOG,base:BASE,ifi:IFINDEX,text:IP2STR,line:PRINTPKT,out:LOGEMU",
        "",
        "[packets]",
        f"group={config.group}",
        "",
        "[out]",
        'file="/dev/stdout"',
        "sync=1",
    ]
    return ConfigFile("ulogd.conf", "\n".join(lines) + "\n", service="ulogd2", reload="restart")
