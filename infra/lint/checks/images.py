"""The images that workflows publish are those that overlays run: with each extra that one asks for, brought to each registry by
the identity that Terraform lets in."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.docker.needed import extras
from infra.lint.cluster import CLOUDS, ENVIRONMENTS, Overlay, overlays
from infra.lint.finding import Finding
from infra.lint.tree import TERRAFORM, Tree, line_of

IMAGES, DELIVER = (Path(".github/workflows", name) for name in ("images.yml", "deliver.yml"))
_IDENTITIES = ("aws", "azure", "google")
#: The subject of the token of a job in one of GitHub's environments.
_SUBJECT = re.compile(r"repo:\$\{var\.repository\}:([^\"'\s]+)")
_TRUSTED = "environment:${var.environment}"


def check(tree: Tree) -> Iterator[Finding]:
    """Extras that the image of a cloud is without, registries that get none, identities that nobody can take on."""
    text = (tree.root / IMAGES).read_text(encoding="utf-8")
    variants = {each["variant"]: str(each["extras"]).split() for each in _matrix(tree, IMAGES, "image")["include"]}
    for overlay in overlays(tree):
        cloud = overlay.place.partition("/")[2]
        missing = extras(overlay.settings(), _models(overlay)) - set(variants.get(cloud, ()))
        if cloud not in variants:
            yield Finding(IMAGES, 0, f"no image is built for {cloud}, which {overlay.place} runs on")
        elif missing:
            line, without = line_of(text, rf"variant: {cloud}$"), " ".join(sorted(missing))
            yield Finding(IMAGES, line, f"the image for {cloud} is without {without}, which {overlay.place} needs")
    matrix = _matrix(tree, DELIVER, "deliver")
    for name, wanted in (("cloud", CLOUDS), ("environment", ENVIRONMENTS)):
        for each in sorted(set(wanted) - set(matrix.get(name, ()))):
            yield Finding(DELIVER, 0, f"nothing is brought to {each}")
    yield from _trust(tree)


def _matrix(tree: Tree, workflow: Path, job: str) -> Mapping[str, Any]:
    matrix: Mapping[str, Any] = tree.yaml(tree.root / workflow)[0]["jobs"][job]["strategy"]["matrix"]
    return matrix


def _models(overlay: Overlay) -> str:
    found = [each["data"] for each in overlay.of("ConfigMap") if each["metadata"]["name"].startswith("genai-models")]
    return str(found[0].get("platform.toml", "")) if found else ""


def _trust(tree: Tree) -> Iterator[Finding]:
    job = tree.yaml(tree.root / DELIVER)[0]["jobs"]["deliver"]
    if job.get("environment") != "${{ matrix.environment }}":
        yield Finding(DELIVER, 0, "the job deliver is in no environment of GitHub's: no registry's identity lets it in")
    for cloud in _IDENTITIES:
        file = tree.root / TERRAFORM / "modules" / cloud / "identity/main.tf"
        text = file.read_text(encoding="utf-8")
        subjects = _SUBJECT.findall(text)
        for subject in sorted({*subjects} - {_TRUSTED}) if subjects else ["nobody"]:
            line = line_of(text, re.escape(subject))
            yield Finding(tree.relative(file), line, f"it lets {subject} push images, and the workflow deliver is {_TRUSTED}")
