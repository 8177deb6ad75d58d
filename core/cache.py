"""Bytes that processes remember together for a while, in Redis or Valkey, and who of them is working on what is missing.

Everything goes on without the server: a lookup finds nothing, nothing is kept, nobody waits for anybody. After a failure the
server is left alone for a second, so that only one call in a while waits for an answer that does not come.

Entries belong to a tenant, whose keys begin with a prefix of its own. A tenant's entries take `tenant_bytes` at most: what
would expire first goes first. An entry whose making began before its tenant's entries were dropped is not kept.

Entries are sealed for their tenant and name. One that cannot be opened is as good as none, and told in the log.
"""

import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from redis.asyncio import Redis

from core.encryption.envelope import Place
from core.encryption.keyring import Keyring
from core.errors import DecryptionFailed, Unavailable
from core.redis_clients import RedisClients
from core.redis_reach import FAILURES, RedisAway

log = structlog.get_logger()

PREFIX = "genai:cache"
#: Milliseconds that a claim holds without being renewed: how long others wait for a maker that died.
CLAIM_MS = 3000
#: Milliseconds for which it stays known that a maker came to nothing that could be kept, so that nobody waits for the next.
FREE_MS = 1000
_FREE = b"-"
#: Longer than any entry lives.
_BOOKS_MS = 31 * 24 * 3600 * 1000
#: By so much the clocks of the server and ours may differ.
_CLOCKS_MS = 60_000
#: Nobody works for longer on what was looked up before its tenant's entries were dropped.
_EPOCH_S = 24 * 3600

# entry, epoch, claim; token, claim_ms → entry, epoch, holder of the claim
_LOOK = """
local entry = redis.call('GET', KEYS[1])
local epoch = redis.call('GET', KEYS[2])
if entry or ARGV[1] == '' then return {entry, epoch, false} end
if redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) then return {false, epoch, ARGV[1]} end
return {false, epoch, redis.call('GET', KEYS[3])}
"""
# The index holds `name:bytes` of each entry by when it expires; `bytes` is their sum.
# entry, epoch, index, bytes; prefix, name, epoch, value, ttl_ms, tenant_bytes, books_ms, longest (0: replace, else append)
_KEEP = """
local entry, epoch, index, bytes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, name, value = ARGV[1], ARGV[2], ARGV[4]
local ttl, most, longest = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[8])
if (redis.call('GET', epoch) or '') ~= ARGV[3] then return 0 end
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local function forget(member)
  local at = string.find(member, ':[^:]*$')
  redis.call('ZREM', index, member)
  redis.call('DECRBY', bytes, string.sub(member, at + 1))
  return string.sub(member, 1, at - 1)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, 100)) do forget(member) end
local before = redis.call('STRLEN', entry)
if before > 0 and redis.call('ZSCORE', index, name .. ':' .. before) then forget(name .. ':' .. before) end
if longest > 0 then
  if before + #value > longest then
    local kept = redis.call('GETRANGE', entry, math.floor(before / #value / 2) * #value, -1)
    redis.call('SET', entry, kept)
  end
  redis.call('APPEND', entry, value)
  redis.call('PEXPIRE', entry, ttl)
else
  redis.call('SET', entry, value, 'PX', ttl)
end
local after = redis.call('STRLEN', entry)
redis.call('ZADD', index, now + ttl, name .. ':' .. after)
local total = redis.call('INCRBY', bytes, after)
while total > most do
  local member = redis.call('ZRANGE', index, 0, 0)[1]
  if not member then break end
  redis.call('DEL', prefix .. forget(member))
  total = tonumber(redis.call('GET', bytes))
end
redis.call('PEXPIRE', index, ARGV[7])
redis.call('PEXPIRE', bytes, ARGV[7])
return 1
"""
# claim; token, what to leave behind (empty: nothing), for how many ms; or, with an empty third, for how long to hold it on
_HOLD_ON = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_LET_GO = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a lookup found. `epoch` says since when the tenant's entries count; None where the server could not be asked, and
    then nothing can be kept. `claimed`: the caller is the one who makes what is missing; `held`: somebody else is."""

    entry: bytes | None = None
    epoch: bytes | None = None
    claimed: bool = False
    held: bool = False


NOTHING: Final = Look()


class Cache:
    """One for a process. Safe on any of its event loops. Without a keyring entries are kept as they are."""

    def __init__(self, clients: RedisClients, *, tenant_bytes: int, keyring: Keyring | None = None) -> None:
        self._keyring = keyring
        self._clients = clients
        self._tenant_bytes = tenant_bytes

    async def look(self, tenant: str, name: str, *, token: str = "") -> Look:
        """The entry of that name. With a `token`, where there is none and nobody is making it, the right to make it is
        claimed in that token's name; it has to be renewed within three seconds and let go of in the end."""
        keys = [_key(tenant, name), _key(tenant, "epoch"), _key(tenant, f"claim:{name}")]
        async with self._asking() as ask:
            if ask is None:
                return NOTHING
            entry, epoch, holder = await _run(ask, _LOOK, keys, [token, CLAIM_MS])
            claimed = bool(token) and holder == token.encode()
            found = Look(entry, epoch or b"", claimed, holder is not None and holder != _FREE and not claimed)
            return found if entry is None else replace(found, entry=await self._opened(tenant, name, entry))
        return NOTHING

    async def get(self, tenant: str, name: str) -> bytes | None:
        """The entry of that name, or None."""
        return (await self.look(tenant, name)).entry

    async def records(self, tenant: str, name: str) -> bytes | None:
        """What was appended under that name, or None."""
        async with self._asking() as ask:
            if ask is not None:
                found: Any = await ask.get(_key(tenant, name))
                return None if found is None else bytes(found)
        return None

    async def put(self, tenant: str, name: str, value: bytes, *, ttl_s: float, epoch: bytes | None) -> bool:
        """Keep an entry. False: it was not kept, because the server is away or the tenant's entries were dropped since
        `epoch` was looked up, or it cannot be sealed."""
        if self._keyring is not None:
            try:
                value = await self._keyring.seal(_place(tenant, name), value)
            except Unavailable as error:
                log.warning("cache.not_sealed", code=error.code)
                return False
        return await self._keep(tenant, name, value, ttl_s, epoch, 0)

    async def append(self, tenant: str, name: str, value: bytes, *, ttl_s: float, epoch: bytes | None, records: int) -> bool:
        """Put `value`, always of the same length, at the end of what `records` gives; past `records` of them the older half
        goes. They are not sealed: they must hold no text."""
        return await self._keep(tenant, name, value, ttl_s, epoch, records * len(value))

    async def renew(self, tenant: str, name: str, token: str) -> None:
        """Hold a claim for another three seconds."""
        async with self._asking() as ask:
            if ask is not None:
                await _run(ask, _HOLD_ON, [_key(tenant, f"claim:{name}")], [token, CLAIM_MS])

    async def let_go(self, tenant: str, name: str, token: str, *, kept: bool) -> None:
        """Give a claim up. Where nothing was `kept`, those who wait are told to go on by themselves."""
        async with self._asking() as ask:
            if ask is not None:
                await _run(ask, _LET_GO, [_key(tenant, f"claim:{name}")], [token, b"" if kept else _FREE, FREE_MS])

    async def drop(self, tenant: str) -> int:
        """Drop all entries of a tenant, and what is being made of them as well. How many there were; may be repeated.

        Raises:
            Unavailable: `cache_unavailable`, the server is away: the entries are still there.
        """
        try:
            client = self._clients.get()
            await client.set(_key(tenant, "epoch"), secrets.token_bytes(8), ex=_EPOCH_S)
            entries = int(await client.zcard(_key(tenant, "index")))
            batch: list[bytes] = []
            async for key in client.scan_iter(match=f"{_key(tenant, '')}*", count=1000):
                if key != _key(tenant, "epoch").encode():
                    batch.append(key)
                if len(batch) >= 500:
                    await client.unlink(*batch)
                    batch.clear()
            if batch:
                await client.unlink(*batch)
        except FAILURES as error:
            raise Unavailable("The cache cannot be reached.", code="cache_unavailable") from error
        return entries

    async def trim(self, tenant: str, longest_s: float) -> int:
        """Drop the entries of a tenant that would live for longer than that from now. How many; may be repeated.

        Raises:
            Unavailable: `cache_unavailable`, the server is away.
        """
        try:
            client = self._clients.get()
            index, until_ms = _key(tenant, "index"), int((time.time() + longest_s) * 1000) + _CLOCKS_MS
            members: list[Any] = await client.zrangebyscore(index, until_ms, "+inf")
            for member in members:
                name, _, size = member.decode().rpartition(":")
                await client.unlink(_key(tenant, name))
                if await client.zrem(index, member):
                    await client.decrby(_key(tenant, "bytes"), int(size))
        except FAILURES as error:
            raise Unavailable("The cache cannot be reached.", code="cache_unavailable") from error
        return len(members)

    async def scrub(self) -> None:
        """Have the server write its append-only file anew, without what was dropped. One that cannot now does so in time."""
        try:
            await self._clients.get().bgrewriteaof()
        except FAILURES as error:
            log.info("cache.not_rewritten", error=type(error).__name__)

    async def _opened(self, tenant: str, name: str, entry: bytes) -> bytes | None:
        if self._keyring is None:
            return entry
        try:
            return await self._keyring.open(_place(tenant, name), entry)
        except (DecryptionFailed, Unavailable) as error:
            log.warning("cache.unreadable", code=error.code, **error.context)
            return None

    async def _keep(self, tenant: str, name: str, value: bytes, ttl_s: float, epoch: bytes | None, longest: int) -> bool:
        if epoch is None:
            return False
        keys = [_key(tenant, part) for part in (name, "epoch", "index", "bytes")]
        given = [_key(tenant, ""), name, epoch, value, int(ttl_s * 1000), self._tenant_bytes, _BOOKS_MS, longest]
        async with self._asking() as ask:
            return ask is not None and bool(await _run(ask, _KEEP, keys, given))
        return False

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Redis | None]:
        """The client, or None while the server is away. A failure within ends the block."""
        try:
            async with self._clients.asked() as client:
                yield client
        except RedisAway:
            yield None
        except FAILURES:
            pass


def _place(tenant: str, name: str) -> Place:
    return Place(tenant, "cache", "entry", name)


def _key(tenant: str, name: str) -> str:
    """A key of the tenant. The braces keep a tenant's keys together on a cluster; the digest keeps one name from holding
    another's."""
    digest = hashlib.blake2b(tenant.encode(), digest_size=12).hexdigest()
    return f"{PREFIX}:{{{digest}}}:{name}"


async def _run(client: Redis, script: str, keys: list[str], arguments: list[Any]) -> Any:
    return await client.register_script(script)(keys=keys, args=arguments)
