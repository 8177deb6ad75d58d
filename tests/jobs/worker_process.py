"""A process that works until it is killed: `python -m tests.jobs.worker_process DATA_DIR DATABASE_URL`."""

import sys
import threading
from pathlib import Path

from core.settings import Settings
from core.valkey import EmbeddedValkey
from jobs.worker import EmbeddedWorker
from providers.models import Models
from retrievers.library import open_resources


def main() -> None:
    settings = Settings.load(data_dir=Path(sys.argv[1]), database_url=sys.argv[2])
    redis_url = EmbeddedValkey(settings).start()
    worker = EmbeddedWorker(settings, redis_url, open_resources(settings, Models(settings)))
    worker.start()
    print("working", flush=True)  # noqa: T201 - its starter waits for it
    threading.Event().wait()


if __name__ == "__main__":
    main()
