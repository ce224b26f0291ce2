"""The commands of `routerctl` that ask a running firewall: uplinks, leases, names, rules, containers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from agent.terminal import ask, fail, width


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add them."""
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
