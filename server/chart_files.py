"""Chart.js, which draws the charts of our pages, served from the package that carries it."""

from importlib.metadata import Distribution, distribution
from os import PathLike, stat_result
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PATH: Final = "/static/charts"
_CARRIER: Final = "django-unfold"
_DIRECTORY: Final = "unfold/static/unfold/js/chart"
_SCRIPT: Final = "chart.js"
_YEAR_S: Final = 365 * 86_400


def script_address() -> str:
    """Where pages load it from: another address for each version, so that browsers may keep it for good."""
    return f"{PATH}/{_SCRIPT}?v={distribution(_CARRIER).version}"


def serve_charts(app: FastAPI) -> None:
    """Offer the script, with its licence beside it.

    Raises:
        ModuleNotFoundError: the package that carries it is missing, or carries it no more.
    """
    app.mount(PATH, _Kept(directory=_directory(distribution(_CARRIER))), name="charts")


def _directory(carrier: Distribution) -> Path:
    directory = Path(str(carrier.locate_file(_DIRECTORY)))
    if not (directory / _SCRIPT).is_file():
        raise ModuleNotFoundError(f"{_CARRIER} {carrier.version}, which is to carry Chart.js, has no {_DIRECTORY}/{_SCRIPT}")
    return directory


class _Kept(StaticFiles):
    """Files that never change at their address."""

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = f"public, max-age={_YEAR_S}, immutable"
        return response
