"""infra/prometheus as the PrometheusRule of infra/k8s: `python -m infra.k8s.rules` writes it anew after a change there."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
WRITTEN = HERE / "base" / "rules.yaml"
_SOURCES = ("recording-rules.yml", "alerts.yml")
_HEAD = """\
# Written by `python -m infra.k8s.rules` from infra/prometheus: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: genai
spec:
  groups:
"""


def manifest(prometheus: Path) -> str:
    """The PrometheusRule with the groups of the rule files in the directory, line for line."""
    lines = []
    for name in _SOURCES:
        text = (prometheus / name).read_text(encoding="utf-8")
        groups = text.partition("groups:\n")[2]
        lines += [f"  {line}".rstrip() for line in groups.splitlines()]
    return _HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Write it."""
    WRITTEN.write_text(manifest(HERE.parent / "prometheus"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
