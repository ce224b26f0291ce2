"""`routerctl`: for people. Every command says what to do next when it fails."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent import cli_config, cli_machine, cli_plan, cli_queries
from agent.terminal import ask, fail, width

# What needs pydantic or YAML is imported by the command that needs it: dhcpcd's hook waits for `routerctl poke`.

DEFAULT_CONFIG = "/etc/router/router.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0: well, 1: something is wrong (said on stderr), 2: usage."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return fail(f"{error.filename or ''}: {error.strerror}".lstrip(": "))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="routerctl", description="Look at the router and check its configuration.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="check a configuration file; opens no secret, touches nothing")
    check.add_argument("config", type=Path, nargs="?", default=_config())
    check.set_defaults(run=_check)

    render = commands.add_parser("render", help="write every generated file of a node; applies nothing")
    render.add_argument("config", type=Path)
    render.add_argument("--node", required=True, help="an uplink's name, or firewall")
    render.add_argument("directory", type=Path)
    render.set_defaults(run=_render)

    status = commands.add_parser("status", help="what the agent of this container has applied, and what is wrong")
    status.add_argument("--json", action="store_true", help="the whole document")
    status.set_defaults(run=_status)

    cli_queries.add(commands)
    schema = commands.add_parser("schema", help="the JSON Schema of the configuration, for editors")
    schema.set_defaults(run=_schema)

    secrets = commands.add_parser("secrets", help="make the passwords of the nodes and of the broker")
    secrets.add_argument("directory", type=Path)
    secrets.add_argument("--config", type=Path, default=_config(), help="the file that names the nodes")
    secrets.set_defaults(run=_secrets)

    init = commands.add_parser("init", help="make the directory of a new router: compose file, configuration, secrets")
    init.add_argument("directory", type=Path)
    init.set_defaults(run=_init)

    cli_config.add(commands)
    for part in (cli_machine, cli_plan):
        part.add(commands, _config())
    poke = commands.add_parser("poke", help="tell the agent to look again (used by dhcpcd's hook)")
    poke.set_defaults(run=_poke)
    health = commands.add_parser("health", help="0 when the agent is ready and every part works")
    health.set_defaults(run=_health)
    return parser


def _check(arguments: argparse.Namespace) -> int:
    from agent.config import check  # noqa: PLC0415
    from agent.list_files import complaints  # noqa: PLC0415

    report = check(arguments.config, _environ(), complaints)
    sys.stdout.write(report.render_text(width()).rstrip("\n") + "\n")
    return 1 if report.errors else 0


def _render(arguments: argparse.Namespace) -> int:
    from agent.config import ConfigError  # noqa: PLC0415
    from agent.offline import render_node  # noqa: PLC0415

    try:
        written = render_node(arguments.config, arguments.node, arguments.directory, _environ())
    except ConfigError as error:
        return fail(str(error))
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from agent.status_text import status_text  # noqa: PLC0415

    document = ask("status")
    if document is None:
        return 1
    text = json.dumps(document, indent=2) + "\n" if arguments.json else status_text(document, width())
    sys.stdout.write(text)
    return 0


def _schema(_: argparse.Namespace) -> int:
    from agent.config.schema import schema  # noqa: PLC0415

    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
    return 0


def _secrets(arguments: argparse.Namespace) -> int:
    from agent.config import ConfigError, load  # noqa: PLC0415
    from agent.secrets import SecretsError, make_secrets  # noqa: PLC0415

    try:
        settings = load(arguments.config, _environ())
    except ConfigError as error:
        return fail(str(error))
    try:
        lines = make_secrets(arguments.directory, settings.nodes)
    except SecretsError as error:
        return fail(str(error))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _init(arguments: argparse.Namespace) -> int:
    from agent.config import ConfigError  # noqa: PLC0415
    from agent.project import ProjectError, make_project  # noqa: PLC0415
    from agent.secrets import SecretsError  # noqa: PLC0415

    try:
        for line in make_project(arguments.directory):
            sys.stdout.write(f"{line}\n")
    except (ConfigError, ProjectError, SecretsError) as error:
        return fail(str(error))
    return 0


def _poke(_: argparse.Namespace) -> int:
    return 1 if ask("poke") is None else 0


def _health(_: argparse.Namespace) -> int:
    document = ask("status")
    if document is None:
        return 1
    parts = document.get("parts")
    failing = [name for name, part in parts.items() if part["error"]] if isinstance(parts, dict) else []
    if not document.get("ready"):
        return fail("not ready: " + (", ".join(failing) or "the first plan is not applied yet"))
    return fail("failing: " + ", ".join(failing)) if failing else 0


def _config() -> Path:
    return Path(os.environ.get("ROUTER_CONFIG", DEFAULT_CONFIG))


def _environ() -> dict[str, str]:
    return dict(os.environ)


if __name__ == "__main__":
    sys.exit(main())
