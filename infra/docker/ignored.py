"""What of the context a build sees: the patterns of `Dockerfile.dockerignore`."""

import re
from pathlib import Path, PurePosixPath


class Ignored:
    """The rules of one file, in its order: the last one that fits a path, or a directory above it, decides."""

    def __init__(self, text: str) -> None:
        lines = (line.strip() for line in text.splitlines())
        self._rules = [
            (not line.startswith("!"), _pattern(line.removeprefix("!"))) for line in lines if line and not line.startswith("#")
        ]

    @classmethod
    def beside(cls, dockerfile: Path) -> "Ignored":
        """Of the file that goes with a Dockerfile; without one nothing is ignored."""
        file = dockerfile.with_name(dockerfile.name + ".dockerignore")
        return cls(file.read_text(encoding="utf-8") if file.exists() else "")

    def __call__(self, path: PurePosixPath) -> bool:
        """Whether the path, relative to the context, is hidden from the build."""
        places = [str(place) for place in (path, *path.parents)][:-1]
        hidden = False
        for hides, pattern in self._rules:
            if any(pattern.fullmatch(place) for place in places):
                hidden = hides
        return hidden


def _pattern(rule: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", rule.strip("/"))
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts))
