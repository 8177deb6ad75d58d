import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.scratch import Scratch

#: A process that has something opened, says so, and waits to be killed.
WORKER = """
import sys
from pathlib import Path
from core.scratch import Scratch
with Scratch(Path(sys.argv[1])).directory("file") as place:
    (place / "opened").write_text("canary")
    print(place, flush=True)
    sys.stdin.read()
"""


def left(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


async def test_a_directory_is_private_and_goes_with_the_block(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch")
    with scratch.directory("file") as one:
        async with scratch.adirectory("export") as other:
            (one / "opened").write_text("canary")
            (other / "export.zip").write_text("canary")
            assert [path.stat().st_mode & 0o777 for path in (one, other, one.parent, one.parent.parent)] == [0o700] * 4
    assert left(tmp_path) == []


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    root = tmp_path / "scratch"
    here = Scratch(root)
    with here.directory("file") as own:
        (own / "opened").write_text("mine")
        command = [sys.executable, "-c", WORKER, str(root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            place = Path(worker.stdout.readline().strip())
            assert here.sweep() == 0
            assert Scratch(root).sweep() == 0
            assert (place / "opened").read_text() == "canary"
            worker.kill()
        assert (place / "opened").exists()
        Scratch(root)  # as the next start does
        assert left(root) == [own / "opened"]
        assert not place.parent.exists()


def test_what_cannot_be_told_from_a_living_processs_is_left_and_ends_no_start(tmp_path: Path) -> None:
    (tmp_path / "abc.lock").mkdir()
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "opened").write_text("canary")
    with capture_logs() as logged:
        assert Scratch(tmp_path).sweep() == 0
    assert (tmp_path / "abc" / "opened").exists()
    assert [(event["event"], event["error"]) for event in logged] == [("scratch.not_swept", "IsADirectoryError")] * 2


def test_a_directory_whose_lock_is_gone_is_swept(tmp_path: Path) -> None:
    (tmp_path / "abc" / "file-1").mkdir(parents=True)
    (tmp_path / "abc" / "file-1" / "opened").write_text("canary")
    assert Scratch(tmp_path).sweep() == 0  # done at its start
    assert left(tmp_path) == []


def test_nothing_is_swept_from_under_those_who_begin_meanwhile(tmp_path: Path) -> None:
    done = threading.Event()

    def sweep() -> None:
        scratch = Scratch(tmp_path)
        while not done.is_set():
            scratch.sweep()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(100):
            with Scratch(tmp_path).directory("file") as place:
                (place / "opened").write_text("mine")
                assert (place / "opened").read_text() == "mine"
    finally:
        done.set()
        sweeper.join()


def test_it_is_made_anew_where_somebody_has_removed_it(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    with scratch.directory("file") as place:
        pass
    place.parent.rmdir()
    with scratch.directory("file") as again:
        assert again.is_dir()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked there")
def test_a_forked_process_does_not_take_its_parents_away(tmp_path: Path) -> None:
    code = (
        "import atexit, os, sys\nfrom pathlib import Path\nfrom core.scratch import Scratch\n"
        "scratch = Scratch(Path(sys.argv[1]))\n"
        "with scratch.directory('file') as place:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        with scratch.directory('file') as own:\n"
        "            assert own.parent != place.parent\n"
        "        atexit._run_exitfuncs()\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    (place / 'opened').write_text('mine')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert list(tmp_path.iterdir()) == []
