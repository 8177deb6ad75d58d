"""What the command line's client does with a key that it is given; and what it is."""

import pytest
from typer.testing import CliRunner

from server.cli.app import app
from server.cli.client import CallFailed, Platform
from server.version import platform_version


def test_a_key_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(CallFailed) as refused:
        Platform("http://127.0.0.1:9", "gk_secret\nof a file")
    assert (refused.value.code, "secret" in str(refused.value)) == ("invalid_key", False)
    Platform("http://127.0.0.1:9", "gk_secret\n").close()  # as a file ends


def test_it_tells_its_version() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"genai {platform_version()}\n")
