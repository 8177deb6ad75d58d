"""What the application really has: the names that infra/ may use. Collected in the application's own environment, as
`python -m infra.lint.application FILE`, and read in that of the checkers, which cannot import it."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Application:
    """Names of the application.

    `settings` are the variables with their defaults as text; `tables` the beginnings of those that go on with names of an
    operator's own. `metrics` are series as a query names them (`…_total`, `…_bucket`). `routes` are paths as the OpenAPI
    document writes them, and `/metrics`. `scripts` are the commands that the package installs. `labels` are those that the
    application gives to each series.
    """

    settings: dict[str, str]
    tables: tuple[str, ...]
    metrics: tuple[str, ...]
    routes: tuple[str, ...]
    scripts: tuple[str, ...]
    labels: dict[str, tuple[str, ...]]

    def has_setting(self, variable: str) -> bool:
        return variable in self.settings or variable.startswith(self.tables)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> "Application":
        """What `write` has written."""
        told = json.loads(file.read_text(encoding="utf-8"))
        lists = {name: tuple(told[name]) for name in ("tables", "metrics", "routes", "scripts")}
        labels = {series: tuple(names) for series, names in told["labels"].items()}
        return cls(settings=told["settings"], labels=labels, **lists)


def collect() -> Application:
    """Ask the application. Imports settings and metrics, not the server: its routes are those of the committed OpenAPI
    document, which `make lint` holds to the server."""
    import tomllib

    from core.metrics.families import FAMILIES, Kind
    from core.settings import Settings, describe

    parts = {Kind.COUNTER: ("_total",), Kind.GAUGE: ("",), Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    settings = {variable: default for variable, default, _ in describe()}
    return Application(
        settings=settings | dict.fromkeys(sorted(Settings.NOT_FIELDS), ""),
        tables=("GENAI_PROVIDERS__", "GENAI_MODELS", "GENAI_SIGN_IN__OIDC"),
        metrics=tuple(family.name + part for family in FAMILIES for part in parts[family.kind]),
        routes=(*json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))["paths"], "/metrics"),
        scripts=tuple(project["scripts"]),
        labels={family.name + part: family.labels for family in FAMILIES for part in parts[family.kind]},
    )


if __name__ == "__main__":
    collect().write(Path(sys.argv[1]))
