"""The Python packages of an environment as a CycloneDX list (SBOM): `python -m infra.docker.sbom SITE_PACKAGES FILE`.

BuildKit's scanner lists a whole image where one is built (`docker buildx build --sbom=true`); this one needs no engine, and is
made in `.venv-infra`, which has CycloneDX' library, of what a replay has built.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def components(site_packages: Path) -> Iterator[Any]:
    """One for each installed package, by name."""
    from cyclonedx.factory.license import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    licences = LicenseFactory()
    found: dict[str, Distribution] = {each.metadata["Name"].lower(): each for each in distributions(path=[str(site_packages)])}
    for name, package in sorted(found.items()):
        told = package.metadata.json
        said = str(told.get("license_expression") or told.get("license") or "")
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=package.version,
            purl=PackageURL("pypi", name=name.replace("_", "-"), version=package.version),
            bom_ref=f"{name}=={package.version}",
            # some packages have the licence's whole text in that field
            licenses=[licences.make_from_string(said)] if 0 < len(said) < 100 else (),
        )


def main(arguments: list[str]) -> int:
    """Write the list as JSON of CycloneDX 1.6."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    site_packages, file = map(Path, arguments)
    bom = Bom(components=components(site_packages))
    if not bom.components:
        sys.stderr.write(f"{site_packages}: there are no packages\n")
        return 1
    make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_to_file(str(file), allow_overwrite=True, indent=2)
    sys.stdout.write(f"{file}: {len(bom.components)} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
