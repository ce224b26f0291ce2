"""The hoster's world with docker-host agents in vm1 and vm2, beside an engine that is a recording (recorded_engine.py).

vm1's containers web (::80) and db (::5) are namespaces of the world; the recorded engine gives them the same addresses.
"""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any, Literal, Self

from tests.lab.hoster_world import CONFIG, HosterWorld, address
from tests.lab.internet import ask
from tests.lab.recorded_engine import RecordedEngine
from tests.lab.wait import wait_for

AGENTS = ("vm1", "vm2")
ENVIRONMENT = {
    "ROUTER_CONFIG": "/run/vm/router.yaml",
    "ROUTER_STATE_DIR": "/run/vm/state",
    "ROUTER_RUN_DIR": "/run/vm/run",
    "DOCKER_HOST": "unix:///run/docker.sock",
}


class ExposureWorld(HosterWorld):
    """`engines` and `agents` by VM. No rule opens a container here, and the lan may ask for names."""

    def __init__(self) -> None:
        text = "".join(line for line in CONFIG.read_text().splitlines(keepends=True) if "to: web" not in line)
        super().__init__(text + "  - { from: lan, to: firewall, udp: 53, action: accept }\n")
        self.engines: dict[str, RecordedEngine] = {}
        self.agents: dict[str, subprocess.Popen[Any]] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            for name in AGENTS:
                node = self.nodes[name]
                node.path("/run/vm").mkdir(exist_ok=True)
                node.path("/run/vm/router.yaml").write_text(self._text)
                node.path("/run/secrets").mkdir(exist_ok=True)
                node.path("/run/secrets/bus_ca.pem").write_text(self._cert)
                node.path("/run/secrets/bus_password").write_text(f"secret-of-{name}\n")
                self.engines[name] = RecordedEngine(node.path("/run/docker.sock"))
                self.start_agent(name)
            self.agent_ready()
        except BaseException:
            self.keep_logs()
            self.close()
            raise
        return self

    def close(self) -> None:
        for engine in self.engines.values():
            engine.stop()
        super().close()

    # --- agents ---

    def start_agent(self, name: str) -> None:
        """As the container of compose/docker-host.yaml does."""
        environment = {**ENVIRONMENT, "ROUTER_NODE": name}
        self.nodes[name].environment |= environment
        self.agents[name] = self.nodes[name].spawn(["router-agent", "run"], "agent", env=environment)

    def stop_agent(self, name: str, *, kill: bool = False) -> None:
        """Ended by SIGTERM, or killed."""
        self.agents[name].send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.agents[name].wait(10)

    def agent_ready(self, name: str = "vm1", timeout: float = 30.0) -> None:
        """Until the firewall has heard of the host's containers."""
        wait_for(lambda: self.exposures()["hosts"][name]["agent"] == "ready", timeout, lambda: self.said(name))

    def said(self, name: str = "vm1") -> str:
        """What is known, for a failure's text."""
        known = json.dumps(self.exposures(), indent=1)
        return f"{known}\n{name}: {self.nodes[name].log('agent')[-3000:]}"

    def lie(self, name: str, document: object, topic: str = "containers", node: str = "") -> None:
        """What somebody says who has the password of `name`; its agent must be stopped."""
        argv = ["mosquitto_pub", "-V", "5", "-h", "10.98.0.1", "-p", "8883", "--cafile", "/run/secrets/bus_ca.pem"]
        argv += ["-u", name, "-P", f"secret-of-{name}", "-q", "1", "-r", "-l", "-t"]
        text = json.dumps(document) + "\n"
        self.nodes[name].run([*argv, f"backstage/1/rack/{node or name}/{topic}"], stdin=text, check=False)

    # --- what the firewall says, and what packets say ---

    def exposures(self, node: str = "firewall") -> dict[str, Any]:
        """`routerctl exposures --json`."""
        return dict(json.loads(self.ctl(node, "exposures", "--json")))

    def open_ports(self) -> set[tuple[str, str]]:
        """(container, port) as the firewall says."""
        return {(r["container"], r["port"]) for r in self.exposures()["requests"] if r["state"] == "open"}

    def refusals(self) -> list[str]:
        """What the firewall refuses, and why."""
        return [
            f"{r['container']} {r['port']}: {r['reason']}" for r in self.exposures()["requests"] if r["state"] != "open"
        ]

    def elements(self) -> set[str]:
        """The open ports in the firewall's kernel."""
        text = self.nodes["firewall"].output(["nft", "-j", "list", "set", "inet", "router", "exposed6"])
        found = next(entry["set"] for entry in json.loads(text)["nftables"] if "set" in entry)
        values = [e["elem"]["val"] if "elem" in e else e for e in found.get("elem", [])]
        return {" ".join(map(str, value["concat"])) for value in values}

    def named(self, name: str, kind: str = "AAAA") -> list[str]:
        """What the firewall's DNS says to a machine on the lan."""
        argv = ["dig", "+short", "+tries=1", "+time=2", "@10.10.10.2", *(["-x"] if kind == "PTR" else []), name]
        return self.nodes["vm2"].run([*argv, *([] if kind == "PTR" else [kind])], check=False).stdout.split()

    def until_open(self, container: str, port: int, timeout: float = 20.0) -> None:
        """Until a connection from outside arrives."""
        wait_for(lambda: self.asked(container, port), timeout, lambda: f"{container}:{port} to be open\n{self.said()}")

    def until_closed(self, container: str, port: int, timeout: float = 20.0) -> None:
        """Until none does. The container itself answers all the while: it is the firewall that closes."""
        wait_for(
            lambda: not self.asked(container, port), timeout, lambda: f"{container}:{port} to be closed\n{self.said()}"
        )

    def asked(self, container: str, port: int, protocol: Literal["tcp", "udp"] = "tcp", timeout: float = 0.3) -> bool:
        """Whether a connection from outside arrives."""
        return ask(self.nodes["outside"], protocol, address(container), port, timeout=timeout) is not None
