"""Chart.js, from the package that carries it."""

from importlib.metadata import PathDistribution
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from server import chart_files
from server.chart_files import PATH, script_address, serve_charts


async def test_the_script_is_served_to_be_kept_with_its_licence() -> None:
    app = FastAPI()
    serve_charts(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        script = await client.get(script_address())
        assert "Chart" in script.text
        assert script.headers["content-type"].startswith("text/javascript")
        assert "immutable" in script.headers["cache-control"]
        assert "Chart.js Contributors" in (await client.get(f"{PATH}/LICENSE")).text
        assert (await client.get(f"{PATH}/../alpine/alpine.js")).status_code == 404
    for needs_eval in ("new Function", "eval("):
        assert needs_eval not in script.text


def test_a_package_that_carries_it_no_more_is_told_of_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "django_unfold-9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: django-unfold\nVersion: 9\n")
    monkeypatch.setattr(chart_files, "distribution", lambda _: PathDistribution(metadata))
    with pytest.raises(ModuleNotFoundError, match="django-unfold 9"):
        serve_charts(FastAPI())
