"""`routerctl plan`: the address plan of a file, without an agent."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from agent.terminal import fail


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], config: Path) -> None:
    """Add the command."""
    plan = commands.add_parser("plan", help="the addresses that follow from a configuration file: who has which")
    plan.add_argument("config", type=Path, nargs="?", default=config)
    plan.add_argument("--json", action="store_true", help="the whole document")
    plan.set_defaults(run=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    from agent.address_plan import document, plan_text  # noqa: PLC0415
    from agent.config import ConfigError, load  # noqa: PLC0415

    try:
        found = document(load(arguments.config, os.environ))
    except ConfigError as error:
        return fail(str(error))
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if arguments.json else plan_text(found))
    return 0
