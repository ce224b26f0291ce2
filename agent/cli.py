"""`routerctl`: for people. Every command says what to do next when it fails."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent import cli_config, cli_machine, cli_plan
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

    uplinks = commands.add_parser("uplinks", help="how the uplinks fare, what each network uses, and why (firewall)")
    uplinks.add_argument("--json", action="store_true", help="the whole document")
    uplinks.set_defaults(run=_uplinks)

    leases = commands.add_parser("leases", help="who has which address by DHCP, and for how long (firewall)")
    leases.add_argument("network", nargs="?", help="of this network alone")
    leases.add_argument("--json", action="store_true", help="the whole document")
    leases.set_defaults(run=_leases)

    for name, run, what in (
        ("dns", _dns, "the zones of names, inside and outside (firewall)"),
        ("rules", _rules, "the rules, and how often each matched (firewall)"),
    ):
        shown = commands.add_parser(name, help=what)
        shown.add_argument("--json", action="store_true", help="the whole document")
        shown.set_defaults(run=run)

    exposed = commands.add_parser("exposures", help="what containers ask to have opened, and what is open")
    exposed.add_argument("--json", action="store_true", help="the whole document")
    exposed.set_defaults(run=_exposures)

    why = commands.add_parser("why", help="which uplink a host would use, and why (firewall)")
    why.add_argument("address", help="an address inside, or a host's name")
    why.add_argument("destination", nargs="?", help="an address; default: anywhere outside")
    why.add_argument("--json", action="store_true", help="the whole document")
    why.set_defaults(run=_why)

    uplink = commands.add_parser("uplink", help="wish something of an uplink; it holds over a restart (firewall)")
    uplink.add_argument("uplink", metavar="NAME")
    uplink.add_argument(
        "wish",
        choices=("drain", "enable", "prefer"),
        help="drain: no new connections; prefer: before all others; enable: as configured, and back from a failure",
    )
    uplink.set_defaults(run=_uplink)

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


_WISHED = {
    "drain": "no new connections, those it has stay",
    "prefer": "before all others, where it may be used",
    "enable": "as configured",
}


def _uplinks(arguments: argparse.Namespace) -> int:
    from agent.uplinks_text import uplinks_text  # noqa: PLC0415

    return _shown(ask("uplinks"), uplinks_text, raw=arguments.json)


def _leases(arguments: argparse.Namespace) -> int:
    from agent.leases import leases_text  # noqa: PLC0415

    return _shown(ask("leases", network=arguments.network), leases_text, raw=arguments.json)


def _dns(arguments: argparse.Namespace) -> int:
    from agent.names_text import dns_text  # noqa: PLC0415

    return _shown(ask("dns"), dns_text, raw=arguments.json)


def _rules(arguments: argparse.Namespace) -> int:
    from agent.rules import rules_text  # noqa: PLC0415

    return _shown(ask("rules"), rules_text, raw=arguments.json)


def _exposures(arguments: argparse.Namespace) -> int:
    from agent.exposures_text import exposures_text  # noqa: PLC0415

    return _shown(ask("exposures"), exposures_text, raw=arguments.json)


def _why(arguments: argparse.Namespace) -> int:
    from agent.uplinks_text import why_text  # noqa: PLC0415

    reply = ask("why", address=arguments.address, destination=arguments.destination)
    return _shown(reply, why_text, raw=arguments.json)


def _uplink(arguments: argparse.Namespace) -> int:
    reply = ask("uplink", uplink=arguments.uplink, wish=arguments.wish)
    if reply is None:
        return 1
    if not reply.get("ok"):
        return fail(str(reply.get("error", "the agent refused")))
    sys.stdout.write(f"{arguments.uplink}: {_WISHED[arguments.wish]}; `routerctl uplinks` shows what follows\n")
    return 0


def _shown(reply: dict[str, object] | None, text: Callable[[dict[str, object], int], str], *, raw: bool) -> int:
    if reply is None:
        return 1
    if "error" in reply:
        return fail(str(reply["error"]))
    sys.stdout.write(json.dumps(reply, indent=2) + "\n" if raw else text(reply, width()))
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
