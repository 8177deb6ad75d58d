"""What resources and data sources of Terraform's providers take and tell, as the providers' own schemas say.

The schemas come with the packages `cdktf-cdktf-provider-…`: made from the providers, they hold a directory for each resource
with its arguments (`index.d.ts`) and how each is written in HCL (`index.js`). Only the resources that are asked for are read,
and kept as JSON beside the environment: a package has some thousand, in an archive of 30 MB.
"""

import json
import re
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

#: The providers that may be used: name -> distribution.
PROVIDERS = {name: f"cdktf-cdktf-provider-{name}" for name in ("aws", "azurerm", "google", "random")}

_ARGUMENT = re.compile(r"\{@link \S+#(\w+) \w+#\1\}(?:(?!\*/).)*\*/\s*readonly (\w+)(\??): ([^;]+);", re.DOTALL)
_INTERFACE = re.compile(r"^export interface (\w+)([^{]*)\{(.*?)^\}", re.DOTALL | re.MULTILINE)
_CLASS = re.compile(r"^export declare class (\w+) extends ([\w.]+) \{(.*?)^\}", re.DOTALL | re.MULTILINE)
_GETTER = re.compile(r"^    get (\w+)\(\): ([^;\n]+)", re.MULTILINE)
_WRITTEN = re.compile(r"^function (\w+)ToHclTerraform\(.*?^\}|synthesizeHclAttributes\(\).*?^    \}", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"(\w+): \{\s*value: .*?isBlock: (true|false),\s*type: \"(\w+)\",\s*storageClassType: \"(\w+)\"", re.DOTALL)
_CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Argument:
    """`kind` is simple, list, set, map or struct; `holds` string, number, boolean, stringList, … or a structure's name."""

    required: bool
    block: bool
    many: bool
    kind: str
    holds: str
    structure: str


@dataclass(slots=True)
class Schema:
    """A resource or data source. Structures of arguments, and of what can be read, by name; `config` is the outermost."""

    arguments: dict[str, dict[str, Argument]] = field(default_factory=dict)
    readable: dict[str, dict[str, str]] = field(default_factory=dict)
    outermost: str = ""

    def reads(self, structure: str, name: str) -> str | None:
        """What an attribute holds: a structure by its name, or "" for a plain value. None where there is no such attribute."""
        attributes = self.readable[structure]
        key = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
        for spelling in (key, f"{key}Attribute"):
            if spelling in attributes:
                return attributes[spelling] if attributes[spelling] in self.readable else ""
        return None


class Schemas:
    """The schemas of one provider. `home` is where those that were read are kept; None keeps them nowhere."""

    def __init__(self, provider: str, home: Path | None = Path(sys.prefix) / "schemas") -> None:
        self._provider = provider
        self._distribution = PROVIDERS[provider]
        self._kept = home / f"{self._distribution}-{version(self._distribution)}.json" if home else None
        self._schemas: dict[str, Schema | None] = {}
        if self._kept and self._kept.exists():
            told = json.loads(self._kept.read_text(encoding="utf-8"))
            self._schemas = {name: _from_json(schema) for name, schema in told.items()}

    def load(self, names: Iterable[str]) -> None:
        """Read the schemas of these; `data.TYPE` is a data source."""
        wanted = {self._directory(name): name for name in names if name not in self._schemas}
        if not wanted:
            return
        texts: dict[str, list[str]] = {directory: [] for directory in wanted}
        with tarfile.open(self._archive(), "r|gz") as archive:
            for member in archive:
                parts = member.name.split("/")
                if len(parts) > 3 and parts[2] in texts and parts[-1].endswith((".d.ts", ".js")):
                    opened = archive.extractfile(member)
                    assert opened is not None  # a file, by its name
                    texts[parts[2]].append(opened.read().decode().partition("//# sourceMappingURL")[0])
        for directory, name in wanted.items():
            self._schemas[name] = _parse("\n".join(texts[directory])) if texts[directory] else None
        if self._kept:
            self._kept.parent.mkdir(exist_ok=True)
            told = {name: asdict(schema) if schema else None for name, schema in self._schemas.items()}
            self._kept.write_text(json.dumps(told), encoding="utf-8")

    def __getitem__(self, name: str) -> Schema | None:
        """The schema of one that was loaded; None where the provider has none of the name."""
        return self._schemas[name]

    def _directory(self, name: str) -> str:
        data, _, kind = name.rpartition(".")
        short = kind.removeprefix(f"{self._provider}_").replace("_", "-")
        if self._provider == "random":
            return short
        return f"data-{self._provider}-{short}" if data else short

    def _archive(self) -> Path:
        spec = find_spec(self._distribution.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"{self._distribution} is not there")
        return next(Path(spec.submodule_search_locations[0], "_jsii").glob("*.tgz"))


def _parse(text: str) -> Schema:
    written = {}
    for found in _WRITTEN.finditer(text):
        fields = {name: (block == "true", kind, holds) for name, block, kind, holds in _FIELD.findall(found[0])}
        if fields:  # the declaration of the method, beside its body, has none
            written[(found[1] or _CONFIG).casefold()] = fields
    schema = Schema()
    for name, _, body in _CLASS.findall(text):
        attributes = {attribute: _structure(kind) for attribute, kind in _GETTER.findall(body)}
        if item := re.search(r"^    get\(\w+: \w+\): (\w+)", body, re.MULTILINE):
            attributes["[]"] = item[1]
        schema.readable[name] = attributes
        if "tfResourceType" in body:
            schema.outermost = name
    for interface, extends, body in _INTERFACE.findall(text):
        name = _CONFIG if "TerraformMetaArguments" in extends else interface
        fields = written.get(name.casefold(), {})
        schema.arguments[name] = {
            argument: Argument(not optional, *_nature(fields.get(argument), kind), _structure(kind))
            for argument, _, optional, kind in _ARGUMENT.findall(body)
        }
    return schema


def _nature(written: tuple[bool, str, str] | None, kind: str) -> tuple[bool, bool, str, str]:
    block, shape, holds = written or (False, "simple", "any")
    return block, "[]" in kind, shape, holds


def _structure(kind: str) -> str:
    found = re.match(r"[A-Z]\w+", kind)
    return found[0] if found else ""


def _from_json(told: dict[str, dict[str, dict[str, dict[str, str]]]] | None) -> Schema | None:
    if told is None:
        return None
    arguments = {
        structure: {name: Argument(**argument) for name, argument in fields.items()}  # type: ignore[arg-type]
        for structure, fields in told["arguments"].items()
    }
    return Schema(arguments, told["readable"], told["outermost"])  # type: ignore[arg-type]
