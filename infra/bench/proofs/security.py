"""Who gets in, what is kept secret, and keys that are rotated."""

from pathlib import Path

from infra.bench import authentication, canaries, fuzzing, resealing, revoking
from infra.bench.counts import Counts, Figures
from infra.postgresql import database_of_platform, postgresql


def openapi_data(place: Path, counts: Counts) -> Figures:
    """2,000 of 5,000 cases drawn from the OpenAPI document, with a credential and without: no 5xx, none comes in without."""
    return _fuzzed(place, counts.cases * 2, counts, "data")


def openapi_capabilities(place: Path, counts: Counts) -> Figures:
    """2,000 cases more, for the capabilities in plain REST and in OpenAI's form."""
    return _fuzzed(place, counts.cases * 2, counts, "capabilities")


def openapi_langserve(place: Path, counts: Counts) -> Figures:
    """1,000 cases more, for LangServe's routes."""
    return _fuzzed(place, counts.cases, counts, "langserve")


def _fuzzed(place: Path, cases: int, counts: Counts, group: str) -> Figures:
    with fuzzing.target(place) as platform:
        return fuzzing.fuzz(platform, cases=cases, seed=counts.seed, group=group)


def authenticate(_: Path, counts: Counts) -> Figures:
    """Authentication and authorisation add at most 0.1 ms of CPU to a request, with a warm cache, whatever the credential."""
    figures = {"added_us": max(each.added_us for each in authentication.measured(counts.authenticated))}
    assert figures["added_us"] <= authentication.PROMISED_US, figures
    return figures


def revoked(place: Path, counts: Counts) -> Figures:
    """A revoked key and a scope taken from a role are refused by each of four processes within 1 s, also without Redis."""
    return revoking.revoked(place, servers=2 if counts.is_small else 4, rounds=counts.rounds)


def secrets_kept(place: Path, counts: Counts) -> Figures:
    """Secrets in every field that takes one are in no log, trace, error, metric, queue or dump, under every fault."""
    return canaries.planted(place, rounds=1 if counts.is_small else 3)


def secrets_kept_grown(place: Path, counts: Counts) -> Figures:
    """The same on PostgreSQL and Valkey with passwords, and over TLS with a key that has one."""
    return canaries.planted(place, rounds=1 if counts.is_small else 3, grown=True)


def rotation(place: Path, counts: Counts) -> Figures:
    """Encryption keys are rotated three times beside 16 callers who read and write what is sealed: no request fails."""
    return resealing.rotated(place, {}, rotations=counts.rotations, callers=counts.readers)


def rotation_postgresql(place: Path, counts: Counts) -> Figures:
    """The same, with the database on PostgreSQL."""
    with postgresql() as server:
        url = {"GENAI_DATABASE_URL": database_of_platform(server, "resealed")}
        return resealing.rotated(place, url, rotations=counts.rotations, callers=counts.readers)
