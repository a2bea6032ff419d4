"""To a Ray cluster and back: connecting, or starting one here; what each worker is given of it."""

import logging
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.config import StudyConfig
from hpo.errors import BadField
from hpo.worker.ray_private import be_quiet
from models.device import GPU_SHARE, MOST_OF_GPU

# Ray's own habits: statistics to its makers, the environment of `uv run`, and workers that give way to everybody, which
# a latency must not.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_worker_niceness": "0"}
# A Ray that is started here takes orders from those who know this token, so from nobody else on this machine.
OWN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
HERE = "127.0.0.1"
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Share:
    """What each worker has of its node: cores, and GPUs, where a fraction shares one."""

    cpus: float
    gpus: float

    def variables(self, threads: int | None) -> dict[str, str]:
        """Variables that make a backend keep to its share.

        Args:
            threads: at most so many; None for as many as the backend takes.
        """
        values: dict[str, str] = {}
        if threads is not None:
            names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
            values |= dict.fromkeys(names, str(threads))
        if 0 < self.gpus < 1:
            values["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{MOST_OF_GPU * self.gpus:.3f}"  # for JAX
            values[GPU_SHARE] = f"{self.gpus:g}"  # for TensorFlow, see `models.device.keep_to_share`
        return values


class Connection:
    """Ray as long as a search needs it. One that the calling program began is used, and left as it is.

    Args:
        config: of the study.

    Raises:
        BadField: there is no cluster at the address, or none of its nodes has what a worker is to have.
    """

    def __init__(self, config: StudyConfig):
        if "ray" not in sys.modules:  # it reads them when it is imported
            own = {} if config.address or "RAY_AUTH_MODE" in os.environ else OWN
            os.environ.update({name: value for name, value in (QUIET | own).items() if name not in os.environ})
        import ray

        self._ours = not ray.is_initialized()
        if self._ours:
            _begin(config)
        try:
            self.share = _share(config)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the cluster; end one that was started here."""
        import ray

        if self._ours:
            ray.shutdown()


def _begin(config: StudyConfig) -> None:
    import ray

    be_quiet()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if config.address is None:
        place: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": HERE}
        place["num_cpus"] = max(os.cpu_count() or 1, config.workers * (config.cpus_per_worker or 1))
        if config.device == "cpu":
            place["num_gpus"] = 0
        ray.init("local", **place, **quiet)
        return
    try:
        _check_reachable(config.address)
        ray.init(config.address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BadField(
            "address",
            "must be that of a running Ray cluster, of which this machine is a node, such as 10.0.0.1:6379 or auto. "
            f"Received: {config.address} ({reason})",
        ) from error


def _check_reachable(address: str) -> None:
    """Raises OSError or ValueError at once where nothing listens: Ray would try for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def nodes() -> list[Mapping[str, Any]]:
    """The nodes of the cluster that are alive, as Ray tells them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def named_node(name: str) -> str:
    """Ray's id of the node with this name, address or id.

    Raises:
        BadField: there is none; the message lists those that there are.
    """
    there = nodes()
    for node in there:
        if name in (node["NodeID"], node["NodeManagerAddress"], node["NodeManagerHostname"], node.get("NodeName")):
            return str(node["NodeID"])
    listed = ", ".join(f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})" for node in there)
    raise BadField("latency_node", f"must be a node of the cluster: {listed}. Received: {name}")


def _share(config: StudyConfig) -> Share:
    """Of each worker; by default a core, and where there are GPUs as much of one as each can have, at most a whole.

    Raises:
        BadField: no node has as much.
    """
    there = [node["Resources"] for node in nodes()]
    total = sum(node.get("GPU", 0.0) for node in there)
    gpus = config.gpus_per_worker
    if gpus is None:
        gpus = 0.0 if config.device == "cpu" or not total else 1 / max(1, -(-config.workers // int(total)))
    share = Share(config.cpus_per_worker or 1, gpus)
    for field, resource, asked in (("cpus_per_worker", "CPU", share.cpus), ("gpus_per_worker", "GPU", share.gpus)):
        most = max((node.get(resource, 0.0) for node in there), default=0.0)
        if asked > most:
            raise BadField(field, f"must be at most {most:g}, what the largest node has. Received: {asked:g}")
    return share
