"""Every row of every plugin table leads to something that keeps its interface, and reading a table imports nothing."""

import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from chains import CHAINS
from chains.guards import GUARDS
from chains.spec import ChainSpec
from core.encryption import KEY_SOURCES
from core.encryption.sources import KeySource
from core.errors import NotFound
from core.plugins import PluginTable
from core.principals import Scope
from core.secret_managers import SECRET_MANAGERS
from core.settings import ProviderSettings, Settings
from evals.metrics import METRICS
from jobs import JOBS
from jobs.base import JobSpec
from providers import PROVIDERS
from providers.base import Provider
from retrievers import LOADERS, ONE_PROCESS, SOURCES, STORES
from retrievers.base import VectorStore
from retrievers.sources.base import Crawler, SourceKind

ROOT = Path(__file__).parents[2]
TABLES = {"providers": PROVIDERS, "stores": STORES, "loaders": LOADERS, "chains": CHAINS, "guards": GUARDS, "jobs": JOBS}
TABLES |= {"sources": SOURCES, "key_sources": KEY_SOURCES, "secret_managers": SECRET_MANAGERS, "metrics": METRICS}
ROWS = [pytest.param(table, name, id=f"{kind}-{name}") for kind, table in TABLES.items() for name in table]


def members(protocol: type) -> set[str]:
    """What a Protocol asks for, by name."""
    return {name for name in vars(protocol) | protocol.__annotations__ if not name.startswith("_")}


@pytest.mark.parametrize(("table", "name"), ROWS)
def test_a_row_names_a_module_of_its_package_and_loads(table: PluginTable, name: str) -> None:
    module = table[name].partition(":")[0]
    assert find_spec(module) is not None
    assert table.load(name) is not None


@pytest.mark.parametrize("kind", TABLES)
def test_an_unknown_name_is_refused_with_the_names_that_are_known(kind: str) -> None:
    with pytest.raises(NotFound) as refusal:
        TABLES[kind].load("no-such-plugin")
    assert all(name in refusal.value.message for name in TABLES[kind])


def test_reading_the_tables_imports_no_plugin() -> None:
    probe = """
import sys, chains, chains.guards, jobs, providers, retrievers, core.encryption, core.secret_managers
tables = (chains.CHAINS, chains.guards.GUARDS, jobs.JOBS, providers.PROVIDERS, retrievers.STORES, retrievers.LOADERS)
tables += (retrievers.SOURCES,)
tables += (core.encryption.KEY_SOURCES, core.secret_managers.SECRET_MANAGERS)
modules = {target.partition(":")[0] for table in tables for target in table.values()}
print(*sorted(modules & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_keeps_the_interface(name: str) -> None:
    kind = PROVIDERS.load(name)
    assert {member for member in members(Provider) if not callable(getattr(kind, member, None))} == set()
    for member in ("warm", "probe", "close"):
        assert inspect.iscoroutinefunction(getattr(kind, member)), member


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_is_cheap_to_construct_and_says_how_it_stands(name: str, settings: Settings) -> None:
    configured = ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key="unused-in-tests")  # type: ignore[arg-type]
    provider = PROVIDERS.load(name)(name, settings, configured)
    model = settings.local.chat_model if name == "local" else "some-model"
    state = provider.state(model)
    assert state.state in {"ready", "loading", "idle", "failed"}
    assert provider.facts(model).context_tokens is None or provider.facts(model).context_tokens > 0
    assert provider.count_tokens(model, "four words are here") > 0


@pytest.mark.parametrize("name", STORES)
def test_a_store_keeps_the_interface(name: str) -> None:
    kind = STORES.load(name)
    wanted = members(VectorStore) - {"shareable"}
    assert {member for member in wanted if not callable(getattr(kind, member, None))} == set()
    assert kind.shareable is (name not in ONE_PROCESS)


@pytest.mark.parametrize("name", SOURCES)
def test_a_kind_of_source_keeps_the_interface(name: str) -> None:
    kind = SOURCES.load(name)
    wanted = members(Crawler) | members(SourceKind)
    assert {member for member in wanted - {"at_once"} if not callable(getattr(kind, member, None))} == set()
    assert kind.at_once > 0


@pytest.mark.parametrize("name", KEY_SOURCES)
def test_a_source_of_keys_keeps_the_interface(name: str) -> None:
    kind = KEY_SOURCES.load(name)
    assert isinstance(kind.name, property)
    assert {member for member in members(KeySource) - {"name"} if not callable(getattr(kind, member, None))} == set()


@pytest.mark.parametrize("scheme", SECRET_MANAGERS)
def test_a_manager_of_secrets_is_a_function_of_what_follows_its_scheme(scheme: str) -> None:
    assert len(inspect.signature(SECRET_MANAGERS.load(scheme)).parameters) == 1


@pytest.mark.parametrize("media_type", LOADERS)
def test_a_loader_is_a_function_of_one_file(media_type: str) -> None:
    loader = LOADERS.load(media_type)
    assert callable(loader)
    assert inspect.getdoc(loader)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_found_by_the_name_of_its_actor(name: str) -> None:
    spec = JOBS.load(name)
    assert isinstance(spec, JobSpec)
    assert inspect.iscoroutinefunction(spec.run)


def built(capability: str) -> ChainSpec:
    spec: Any = CHAINS.load(capability)
    assert isinstance(spec, ChainSpec)
    return spec


@pytest.mark.parametrize("capability", CHAINS)
def test_a_capability_describes_itself(capability: str) -> None:
    spec = built(capability)
    assert spec.name == capability
    assert spec.title
    assert len(spec.description) > 20
    assert isinstance(spec.scope, Scope)
    assert issubclass(spec.input, BaseModel)


@pytest.mark.parametrize("capability", CHAINS)
def test_the_example_of_a_capability_is_a_valid_input(capability: str) -> None:
    spec = built(capability)
    assert spec.example
    spec.input.model_validate(spec.example)


@pytest.mark.parametrize("capability", CHAINS)
def test_the_prompts_of_a_capability_are_files(capability: str) -> None:
    missing = [prompt for prompt in built(capability).prompts if not (ROOT / "chains" / "prompts" / prompt).is_file()]
    assert missing == []


@pytest.mark.parametrize("capability", CHAINS)
def test_every_visible_input_field_of_a_capability_says_what_it_is(capability: str) -> None:
    properties = built(capability).input.model_json_schema()["properties"]
    silent = [name for name, schema in properties.items() if "description" not in schema and "$ref" not in schema]
    assert silent == []


@pytest.mark.parametrize("capability", CHAINS)
def test_an_unknown_input_field_is_refused(capability: str) -> None:
    spec = built(capability)
    with pytest.raises(ValueError, match=r"(?i)extra|permitted|unknown"):
        spec.input.model_validate({**spec.example, "base_url": "http://example.test"})


def test_a_capability_is_built_by_a_function_that_returns_a_runnable() -> None:
    for capability in CHAINS:
        returns = inspect.signature(built(capability).build).return_annotation
        assert "Runnable" in str(returns) or (inspect.isclass(returns) and issubclass(returns, Runnable)), capability
