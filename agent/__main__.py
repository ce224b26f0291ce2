"""`router-agent run`: the daemon."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from agent.log import configure


def main() -> int:
    """Run the daemon; 0 after SIGTERM, 2 for a configuration with errors (named on stderr, nothing is touched)."""
    parser = argparse.ArgumentParser(prog="router-agent", description="The agent of one container of the router.")
    parser.add_subparsers(dest="command", required=True).add_parser(
        "run", help="run until SIGTERM; ROUTER_NODE and ROUTER_CONFIG say who and with what"
    )
    parser.parse_args()
    # Imported late: a wrong word on the command line is answered at once.
    from agent.config import ConfigError  # noqa: PLC0415
    from agent.start import run  # noqa: PLC0415

    configure(os.environ.get("ROUTER_LOG__LEVEL", "info"))
    try:
        asyncio.run(run(os.environ))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
