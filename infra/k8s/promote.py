"""Move a version on: `python -m infra.k8s.promote --from staging --to production [--cloud aws]`, or `--version 0.2.0 --to dev`.

It edits the `newTag` of overlays, nothing else: what comes of it is a pull request, and Argo CD does the rest.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent / "overlays"
ENVIRONMENTS, CLOUDS = ("dev", "staging", "production"), ("aws", "azure", "gcp")
#: Overlays that always have the version of an environment: the region that stands in for production's first.
_WITH = {"production": ("second",)}
_TAG = re.compile(r"^(    newTag: )(\S+)$", re.MULTILINE)
_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-.][A-Za-z0-9.]+)?")


class NotPromoted(Exception):
    """Nothing was changed; the message says why."""


def version_of(overlay: Path) -> str:
    """The version that an overlay runs.

    Raises:
        NotPromoted: it names none, or several.
    """
    found = _TAG.findall((overlay / "kustomization.yaml").read_text(encoding="utf-8"))
    if len(found) != 1:
        raise NotPromoted(f"{overlay}: {len(found)} times newTag, and there should be one")
    return str(found[0][1])


def promote(overlays: Path, target: str, clouds: Sequence[str], *, source: str | None, version: str | None) -> list[str]:
    """Give the target's overlays the source's version, cloud by cloud, or this one. What changed, a line each.

    Raises:
        NotPromoted: an environment would be skipped, or the version is none.
    """
    if source is not None and ENVIRONMENTS.index(target) != ENVIRONMENTS.index(source) + 1:
        raise NotPromoted(f"{source} is not the environment before {target}")
    if source is None and not version:
        raise NotPromoted(f"{target} needs a version, as 1.2.3: there is no environment before it to take one from")
    if source is None and target != ENVIRONMENTS[0]:
        raise NotPromoted(f"a version begins in {ENVIRONMENTS[0]}; {target} takes it from the environment before")
    moves = []
    for cloud in clouds:
        wanted = version or version_of(overlays / str(source) / cloud)
        if not _VERSION.fullmatch(wanted):
            raise NotPromoted(f"{wanted!r} is no exact version")
        targets = [overlays / place / cloud for place in (target, *_WITH.get(target, ()))]
        moves += [(overlay, wanted, version_of(overlay)) for overlay in targets]
    changed = []
    for overlay, wanted, former in moves:
        if wanted != former:
            file = overlay / "kustomization.yaml"
            file.write_text(_TAG.sub(rf"\g<1>{wanted}", file.read_text(encoding="utf-8")), encoding="utf-8")
            changed.append(f"{overlay.parent.name}/{overlay.name}: {former} -> {wanted}")
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what changed; 1 where nothing may be, or nothing was to be."""
    parser = argparse.ArgumentParser(prog="python -m infra.k8s.promote", description=__doc__)
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--from", dest="source", choices=ENVIRONMENTS[:-1], help="the environment that has tried the version")
    origin.add_argument("--version", help="a new version, which begins in dev")
    parser.add_argument("--to", dest="target", choices=ENVIRONMENTS, required=True)
    parser.add_argument("--cloud", choices=CLOUDS, action="append", help="this one alone; all without it")
    options = parser.parse_args(arguments)
    try:
        clouds = options.cloud or CLOUDS
        changed = promote(HERE, options.target, clouds, source=options.source, version=options.version)
    except NotPromoted as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in changed) or "nothing to promote\n")
    return 0 if changed else 1


if __name__ == "__main__":
    sys.exit(main())
