"""`make pin-images`: the digests of third-party images that infra/ names, asked of its registry by crane or Docker's buildx.

Prints `IMAGE@sha256:…` line by line; with `--in-place` writes them into the files, as CI does in its checkout before it builds.
Digests are never committed: a tag says which release is meant, and which bytes these were is told by what was built.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: In a Dockerfile, in Compose and Kubernetes: what follows, up to a digest or the line's end.
_NAMED = re.compile(
    r"^(?P<before>\s*(?:FROM\s+|-?\s*image:\s*[\"']?))(?P<image>[a-z0-9][\w./-]*:[\w.-]+)(?P<digest>@sha256:[0-9a-f]{64})?",
    re.MULTILINE,
)
_FILES = ("infra/docker/Dockerfile", "infra/compose/compose.yaml", "infra/k8s/**/*.yaml")
#: What is built here is in no registry yet.
_OURS = ("genai-",)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class NotResolved(Exception):
    """A digest could not be had; the message says of what, and why."""


def files(root: Path) -> Iterator[Path]:
    """The files that name images."""
    for pattern in _FILES:
        yield from sorted(root.glob(pattern))


def named(text: str) -> set[str]:
    """The third-party images of a file, without digests."""
    return {found["image"] for found in _NAMED.finditer(text) if not found["image"].startswith(_OURS)}


def digest_of(image: str) -> str:
    """`sha256:…` of an image's manifest, for all of its platforms.

    Raises:
        NotResolved: there is no program to ask with, or the registry does not know the image.
    """
    if shutil.which("crane"):
        command = ["crane", "digest", image]
    elif shutil.which("docker"):
        command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    else:
        raise NotResolved("neither crane nor docker is here to ask a registry with")
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found = answer.stdout.strip()
    if answer.returncode or not _DIGEST.fullmatch(found):
        raise NotResolved(f"{image}: {answer.stderr.strip() or found or 'no answer'}")
    return found


def pinned(text: str, digests: dict[str, str]) -> str:
    """The file with these digests behind its images."""

    def with_digest(found: re.Match[str]) -> str:
        digest = digests.get(found["image"])
        return found[0] if digest is None else f"{found['before']}{found['image']}@{digest}"

    return _NAMED.sub(with_digest, text)


def main(arguments: list[str] | None = None) -> int:
    """Ask, and print or write."""
    parser = argparse.ArgumentParser(prog="python -m infra.docker.pin", description=__doc__)
    parser.add_argument("--in-place", action="store_true", help="write the digests into the files")
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args(arguments)
    texts = {file: file.read_text(encoding="utf-8") for file in files(options.root)}
    try:
        digests = {image: digest_of(image) for image in sorted(set().union(*map(named, texts.values())))}
    except NotResolved as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for image, digest in digests.items():
        sys.stdout.write(f"{image}@{digest}\n")
    for file, text in texts.items() if options.in_place else ():
        file.write_text(pinned(text, digests), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
