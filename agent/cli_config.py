"""`routerctl diff`, `apply`, `confirm`, `revert` and `reload`: another configuration for a running agent."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from agent.terminal import ask, fail, width

# Daemons check their own files, and may take their time on a busy machine.
WAIT = 60.0
_FILE = "default: the node's own file; - is standard input; its paths are relative to the node's own file"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    diff = commands.add_parser("diff", help="what would change if a configuration were applied now; changes nothing")
    diff.add_argument("file", nargs="?", help=_FILE)
    diff.set_defaults(run=_diff)

    apply = commands.add_parser("apply", help="apply a configuration; one with errors changes nothing")
    apply.add_argument("file", nargs="?", help=_FILE)
    apply.add_argument("--confirm", metavar="TIME", help="go back after TIME (60s) unless `routerctl confirm` comes")
    apply.set_defaults(run=_apply)

    for name, text in (
        ("confirm", "keep what `apply --confirm` applied"),
        ("revert", "go back now from what `apply --confirm` applied"),
        ("reload", "apply the node's own file, and compare all with the kernel; errors change nothing"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=_tell)
    for command in ("diff", "apply", "revert", "reload"):
        commands.choices[command].add_argument("--json", action="store_true", help="the changes as JSON")


def _diff(arguments: argparse.Namespace) -> int:
    return _show(ask("diff", wait=WAIT, **_file(arguments)), raw=arguments.json)


def _apply(arguments: argparse.Namespace) -> int:
    seconds: float | None = None
    if arguments.confirm is not None:
        from agent.config.base import MendError  # noqa: PLC0415
        from agent.config.texts import parse_duration  # noqa: PLC0415

        try:
            seconds = parse_duration(arguments.confirm)
        except MendError as error:
            return fail(f"--confirm: {error}; write 60s or 5m")
    reply = ask("apply", wait=WAIT, **_file(arguments), confirm=seconds)
    status = _show(reply, raw=arguments.json)
    if status == 0 and reply and (left := reply.get("left")) is not None:
        sys.stderr.write(f"applied; it goes back in {left:.0f} s unless `routerctl confirm` comes first\n")
    return status


def _tell(arguments: argparse.Namespace) -> int:
    raw = getattr(arguments, "json", False)
    reply = ask(arguments.command, wait=WAIT)
    if arguments.command == "confirm" and reply and reply.get("ok"):
        reply = {**reply, "changes": None}
    return _show(reply, raw=raw)


def _file(arguments: argparse.Namespace) -> dict[str, object]:
    """The file's text goes to the agent: it need not see the file itself."""
    if arguments.file is None:
        return {}
    if arguments.file == "-":
        return {"text": sys.stdin.read(), "name": "standard input"}
    with open(arguments.file, encoding="utf-8") as stream:  # noqa: PTH123 - the name stays as it was written
        return {"text": stream.read(), "name": arguments.file}


def _show(reply: dict[str, Any] | None, *, raw: bool) -> int:
    from agent.plan_diff_text import changes_text  # noqa: PLC0415

    if reply is None:
        return 1
    errors = reply.get("errors") or ([reply["error"]] if "error" in reply else [])
    if errors:
        return fail("\n".join([*map(str, errors), "nothing was changed; the running configuration stays"]))
    changes = reply.get("changes")
    if raw:
        sys.stdout.write(json.dumps(changes, indent=2, ensure_ascii=False) + "\n")
    elif changes is not None:
        sys.stdout.write(changes_text(changes, width()))
    for note in reply.get("notes", ()):
        sys.stderr.write(f"{note}\n")
    failing = reply.get("failing", ())
    return fail("applied, but failing: " + "; ".join(failing)) if failing else 0
