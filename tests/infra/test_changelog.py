"""What a release says of itself comes from the changelog, and one that is not ready is refused."""

from pathlib import Path

import pytest

from infra.changelog import NotReady, section

CHANGELOG = "# Changelog\n\n## 1.1.0 (unreleased)\n\n- Later.\n\n## 1.0.0 (2026-11-29)\n\n- First.\n- More.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.0.0"\n')
    return tmp_path


def test_a_release_has_its_section_alone(root: Path) -> None:
    assert section(root, "1.0.0") == "- First.\n- More.\n"


@pytest.mark.parametrize(
    ("package", "version", "why"),
    [("1.0.0", "1.0.1", "has the version 1.0.0"), ("1.1.0", "1.1.0", "unreleased"), ("2.0.0", "2.0.0", "no section")],
)
def test_one_that_is_not_ready_is_refused(root: Path, package: str, version: str, why: str) -> None:
    (root / "pyproject.toml").write_text(f'[project]\nversion = "{package}"\n')
    with pytest.raises(NotReady, match=why):
        section(root, version)
