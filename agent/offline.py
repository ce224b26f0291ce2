"""`routerctl render`: every generated file of a node, as if all its links were there and nothing else known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.config import Settings, load
from agent.desired import Ruleset
from agent.model import Link, State
from agent.nodes import FIREWALL, planner_for
from agent.render import render_file, render_ruleset


def render_node(config: Path, node: str, directory: Path, environ: Mapping[str, str]) -> list[Path]:
    """Write the files below `directory` and return their paths. Raises ConfigError, OSError. Opens no secret."""
    settings = load(config, environ)
    plan = planner_for(settings, node)(assumed_state(settings, node), 0.0)
    texts = {file.path: file.text for file in map(render_file, plan.files)}
    texts["router.nft"] = ruleset_text(render_ruleset(plan.nft))
    texts["sysctl.conf"] = "".join(f"{key} = {value}\n" for key, value in plan.sysctls)
    written = []
    for name, text in sorted(texts.items()):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def assumed_state(settings: Settings, node: str) -> State:
    """A kernel that has every link of the node's roles, up, and nothing else."""
    names = [*settings.networks] if node == FIREWALL else ["wan", "dmz"]
    links = {
        index: Link(index, name, mac=f"02:00:00:00:00:{index:02x}", up=True, carrier=True)
        for index, name in enumerate(names, start=2)
    }
    return State(synced=True, links=links)


def ruleset_text(ruleset: Ruleset) -> str:
    """The whole ruleset as one nft script, the dynamic parts included."""
    lines = [ruleset.skeleton.rstrip("\n")]
    for name, elements in sorted(ruleset.elements.items()):
        if elements:
            pairs = ", ".join(f"{key} : {value}" if value else key for key, value in elements.items())
            lines.append(f"add element inet router {name} {{ {pairs} }}")
    for name, rules in sorted(ruleset.chains.items()):
        lines.extend(f"add rule inet router {name} {rule}" for rule in rules)
    return "\n".join(lines) + "\n"
