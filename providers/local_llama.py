"""llama.cpp's server, as it runs in a child process of its own. Nothing else of the platform is imported there."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

HOST = "127.0.0.1"


def serve(path: str, sha256: str | None, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Load the model and answer at the address that is yielded, until the process is killed.

    `settings`: api_key, name, slots, context_tokens (of each slot), threads, sampling (defaults by llama.cpp's names).

    Raises:
        ValueError: the weights are not the ones that the checksum names, or cannot be loaded.
    """
    if sha256 is not None and checksum(path) != sha256:
        raise ValueError("the weights do not have their checksum: the file is damaged or has been changed")
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 5)  # the server's own threads go first
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.model_alias = {settings["name"]}
    parameters.api_keys = [settings["api_key"]]
    parameters.hostnames = [HOST]
    parameters.port = 0
    parameters.n_parallel = settings["slots"]
    parameters.n_ctx = settings["context_tokens"] * settings["slots"]
    parameters.n_batch = 512  # a long prompt lets the other slots' tokens through every 512 tokens
    parameters.cpuparams.n_threads = settings["threads"]
    parameters.cpuparams_batch.n_threads = settings["threads"]
    parameters.cache_ram_mib = 0  # the slots' own caches are enough; the default may take 8 GB
    parameters.fit_params = False
    parameters.endpoint_slots = True  # told by the loop that makes the tokens: it shows whether that goes on
    parameters.ui = False
    parameters.verbosity = -1
    for name, value in settings["sampling"].items():
        setattr(parameters.sampling, name, value)
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise ValueError(f"llama.cpp cannot load the model: {error}") from error
    yield {"url": server.listening_address}


def checksum(path: str) -> str:
    """SHA-256 of a file, in hexadecimal. Some 0.1 s for 100 MB."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
