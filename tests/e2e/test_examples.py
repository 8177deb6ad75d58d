"""What a first click on Start gives with the bundled model, where what it gives can be judged."""

import subprocess
import sys

import httpx
import pytest

from chains import CHAINS

pytestmark = pytest.mark.one_database


def test_the_example_of_code_tests_gets_tests_that_pass(client: httpx.Client) -> None:
    example = CHAINS.load("code/tests").example
    output = client.post("/api/v1/code/tests", json=example).raise_for_status().json()["output"]
    assert output["valid"] is True, output
    calls = "for name, test in list(globals().items()):\n    if name.startswith('test'):\n        test()\n        print(name)"
    program = "\n\n".join((example["code"], output["code"], calls))
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, (output, run.stderr)
    assert "test" in run.stdout, output
