"""Python's search for garbage, while everything is loaded and afterwards."""

import gc
import subprocess
import sys

LOADING = """
import gc
from core.memory import hurry, settle
hurry()
held = [[] for _ in range(60_000)]
before = gc.get_stats()[0]["collections"]
more = [[] for _ in range(30_000)]
print(gc.get_stats()[0]["collections"] - before, end=" ")
settle()
print(gc.get_freeze_count() > 90_000, gc.isenabled(), gc.get_threshold()[0])
"""


def test_it_waits_while_everything_is_loaded_and_leaves_that_out_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True", "10000"]


def test_it_is_on_in_the_tests_themselves() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count()
