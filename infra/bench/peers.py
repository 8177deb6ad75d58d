"""Other gateways, installed and started to be measured beside ours: LiteLLM's proxy and Portkey's gateway, one process each.

They are pinned: figures of another version would be another comparison. (Of LiteLLM, two releases after 1.101.0 carried
foreign code for some hours in 2026: do not raise the pin without reading its advisories.)
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.running import free_port, wait_until

LITELLM = "litellm[proxy]==1.101.0"
PORTKEY = "@portkey-ai/gateway@1.15.2"
_START_S = 120
_LITELLM_CONFIG = """\
model_list:
  - model_name: mock
    litellm_params: {{model: openai/mock, api_base: "{provider}/v1", api_key: none}}
"""


class Missing(Exception):
    """A peer cannot be installed or started; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A running peer: where it takes `/v1/chat/completions`, with which headers, and its process."""

    url: str
    headers: dict[str, str]
    pid: int


@contextmanager
def litellm(directory: Path, provider: str) -> Iterator[Peer]:
    """LiteLLM's proxy before `provider` (an address without `/v1`): one worker, its log at errors alone."""
    environment = directory / "litellm"
    command = environment / "bin" / "litellm"
    if not command.exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        _install([uv, "venv", "--quiet", str(environment)])
        _install([uv, "pip", "install", "--quiet", "--python", str(environment / "bin" / "python"), LITELLM])
    port = free_port()
    config = directory / f"litellm-{port}.yaml"
    config.write_text(_LITELLM_CONFIG.format(provider=provider))
    try:
        with _started(
            [str(command), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
            directory,
            lambda: _answers(f"http://127.0.0.1:{port}/health/liveliness"),
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            LITELLM_LOG="ERROR",
        ) as pid:
            yield Peer(f"http://127.0.0.1:{port}/v1/chat/completions", {"authorization": "Bearer none"}, pid)
    finally:
        config.unlink(missing_ok=True)


@contextmanager
def portkey(directory: Path, provider: str) -> Iterator[Peer]:
    """Portkey's gateway before `provider`."""
    start = directory / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not start.exists():
        _install(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(directory), PORTKEY])
    port = free_port()
    with _started(
        ["node", str(start), "--headless", f"--port={port}"], directory, lambda: _answers(f"http://127.0.0.1:{port}/")
    ) as pid:
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{provider}/v1", "authorization": "Bearer none"}
        yield Peer(f"http://127.0.0.1:{port}/v1/chat/completions", headers, pid)


#: By the name in the table, in its order; ratios are to the first.
PEERS = {"LiteLLM 1.101.0": litellm, "Portkey 1.15.2": portkey}


def _install(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise Missing(done.stderr.strip()[-400:] or f"{command[0]} ended with {done.returncode}")


@contextmanager
def _started(command: list[str], directory: Path, ready: Callable[[], bool], **variables: str) -> Iterator[int]:
    """A process for the block, once it is `ready`; what it writes goes nowhere."""
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise Missing(str(error)) from error

    def is_ready() -> bool:
        if process.poll() is not None:
            raise Missing(f"{Path(command[0]).name} ended with {process.returncode}")
        return ready()

    try:
        try:
            wait_until(is_ready, within_s=_START_S, what=Path(command[0]).name)
        except TimeoutError as error:
            raise Missing(str(error)) from error
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False
