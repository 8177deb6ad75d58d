"""infra/prometheus and infra/grafana as manifests of infra/k8s. `python -m infra.k8s.observed` writes them anew."""

import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
_RULES = ("recording-rules.yml", "alerts.yml")
_RULES_HEAD = """\
# Written by `python -m infra.k8s.observed` from infra/prometheus: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: genai
spec:
  groups:
"""
_DASHBOARD_HEAD = """\
# Written by `python -m infra.k8s.observed` from infra/grafana: change it there. Grafana's sidecar looks for the label.
apiVersion: v1
kind: ConfigMap
metadata:
  name: genai-dashboard-{name}
  labels:
    grafana_dashboard: "1"
data:
  genai-{name}.json: |
"""


def rules(infra: Path) -> str:
    """The PrometheusRule with the groups of the rule files, line for line. `infra` is the directory of that name."""
    lines: list[str] = []
    for name in _RULES:
        text = (infra / "prometheus" / name).read_text(encoding="utf-8")
        lines += _indented(text.partition("groups:\n")[2], 2)
    return _RULES_HEAD + "".join(lines)


def dashboards(infra: Path) -> str:
    """A ConfigMap for each dashboard."""
    files = sorted((infra / "grafana").glob("*.json"))
    heads = [_DASHBOARD_HEAD.format(name=file.stem) for file in files]
    texts = ["".join(_indented(file.read_text(encoding="utf-8"), 4)) for file in files]
    return "---\n".join(head + text for head, text in zip(heads, texts, strict=True))


#: What is written, by its file below infra/k8s.
WRITTEN = {"base/rules.yaml": rules, "base/dashboards.yaml": dashboards}


def _indented(text: str, by: int) -> Iterator[str]:
    return (f"{' ' * by}{line}".rstrip() + "\n" for line in text.splitlines())


def main() -> int:
    """Write them."""
    for file, written in WRITTEN.items():
        (HERE / file).write_text(written(HERE.parent), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
