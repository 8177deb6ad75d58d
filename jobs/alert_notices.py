"""Sends the notices of alerts: to each route in order, one at a time, again and again until it has arrived or is given up.

The table is the truth: a notice that was being sent when its worker died is sent again by another, under the same identifier.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import aliased
from sqlmodel import and_, col, delete, or_, select, update

from core.alerts.notices import NOTICE, RECOVERED, SIGNATURE, encoded, signature, text_of, title_of
from core.alerts.routes import AlertRoutes
from core.alerts.services import notify
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.errors import PlatformError
from core.principals import SYSTEM
from core.settings import FetchSettings, Settings
from core.tables import AlertDelivery, AlertRoute, AlertRouteKind, AlertRow, AlertState, DeliveryState
from retrievers.fetching import post

log = structlog.get_logger()

#: Seconds between two looks for notices.
LOOK_S: Final = 1.0
#: Routes that are sent to at once.
AT_ONCE: Final = 8
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 3600.0
_TIDY_S: Final = 3600.0
#: Not at the start, when everything else writes.
_FIRST_TIDY_S: Final = 60.0
#: Notices that one look considers.
_MOST: Final = 500
_WAITING: Final = DeliveryState.WAITING.value


class Notices:
    """`run` sends until it is cancelled. Several may run at once, in several processes."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._routes = AlertRoutes(database)
        self._fetching = FetchSettings(timeout_s=settings.alerts.timeout_s, private_networks=settings.alerts.private_networks)
        self._threads = ThreadPoolExecutor(AT_ONCE, "alert-notices")
        self._tidied = time.monotonic() - _TIDY_S + _FIRST_TIDY_S
        self._away = False

    async def run(self) -> None:
        """Send now, then look again every second."""
        try:
            while True:
                try:
                    sent = await self.send()
                    await self._tidy_in_time()
                    self._away = False
                except SQLAlchemyError as error:
                    if not self._away:
                        log.warning("alert_notices.database_away", error=type(error).__name__)
                    self._away, sent = True, 0
                except Exception:  # the boundary of a task that must never end
                    log.exception("alert_notices.failed")
                    sent = 0
                if not sent:
                    await asyncio.sleep(LOOK_S)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self) -> int:
        """Send what is due, the oldest of each route; how many have arrived."""
        due = await self._due()
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(notice: AlertDelivery, route: AlertRoute) -> bool:
            async with at_once:
                return await self._send(notice, route)

        return sum(await asyncio.gather(*(one(notice, route) for notice, route in due)))

    async def _due(self) -> list[tuple[AlertDelivery, AlertRoute]]:
        """The oldest notice that waits for each route, where it is due: what comes later waits for it, so that nobody is told
        that something is over before it is told that it began."""
        now, older = utc_now(), aliased(AlertDelivery)
        before = or_(
            col(older.created_at) < col(AlertDelivery.created_at),
            and_(col(older.created_at) == col(AlertDelivery.created_at), col(older.id) < col(AlertDelivery.id)),
        )
        waits_before = select(older.id).where(older.route_id == AlertDelivery.route_id, older.state == _WAITING, before)
        free = or_(col(AlertDelivery.leased_until).is_(None), col(AlertDelivery.leased_until) < now)
        query = (
            select(AlertDelivery, AlertRoute)
            .join(AlertRoute, col(AlertRoute.id) == col(AlertDelivery.route_id))
            .where(AlertDelivery.state == _WAITING, AlertDelivery.next_at <= now, free, ~waits_before.exists())
            .order_by(col(AlertDelivery.next_at))
            .limit(_MOST)
        )
        async with self._database.session(all_tenants=True) as session:
            return [(notice, route) for notice, route in (await session.exec(query)).all()]

    async def _send(self, notice: AlertDelivery, route: AlertRoute) -> bool:
        if not await self._take(notice):
            return False
        principal = replace(SYSTEM, tenant=route.tenant)
        with serving(RequestContext(request_id=notice.id, principal=principal, capability="alerts")):
            error = "route_disabled" if not route.enabled else await self._error_of(notice, route)
        await self._note(notice, error)
        if error is not None:
            log.warning("alert_notice.not_sent", notice=notice.id, route=route.id, error=error, attempt=notice.attempts + 1)
        return error is None

    async def _error_of(self, notice: AlertDelivery, route: AlertRoute) -> str | None:
        """Why it has not arrived: a code; None where it has."""
        try:
            target = await self._routes.target_of(route)
            if route.kind == AlertRouteKind.WEBHOOK:
                return await self._post(notice.body, target)
            return await self._notify(notice.body, target["url"])
        except PlatformError as error:
            return error.code
        except TimeoutError:
            return "timeout"
        except Exception as error:  # noqa: BLE001 - a route's trouble must not be another's
            log.error("alert_notice.broken", notice=notice.id, error=type(error).__name__)  # noqa: TRY400 - a trace could show the address
            return "internal_error"

    async def _post(self, body: dict[str, Any], target: dict[str, str]) -> str | None:
        content = encoded(body)
        headers = {SIGNATURE: signature(target["secret"], content, int(time.time())), NOTICE: body["id"]}
        status = await post(target["url"], content, headers, allowed=self._fetching)
        return None if 200 <= status < 300 else f"status_{status}"

    async def _notify(self, body: dict[str, Any], url: str) -> str | None:
        bad = body["type"] != RECOVERED
        call = partial(notify, url, title_of(body), text_of(body), self._settings, bad=bad)
        async with asyncio.timeout(3 * self._settings.alerts.timeout_s):
            taken = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        return None if taken else "not_taken"

    async def _take(self, notice: AlertDelivery) -> bool:
        """Whether it is this worker's to send now."""
        now = utc_now()
        free = or_(col(AlertDelivery.leased_until).is_(None), col(AlertDelivery.leased_until) < now)
        claim = (
            update(AlertDelivery)
            .where(col(AlertDelivery.id) == notice.id, col(AlertDelivery.state) == _WAITING, free)
            .where(col(AlertDelivery.attempts) == notice.attempts)
            .values(
                leased_until=now + timedelta(seconds=4 * self._settings.alerts.timeout_s + 30), attempts=notice.attempts + 1
            )
        )
        async with self._database.transaction(all_tenants=True) as session:
            return (await session.exec(claim)).rowcount == 1

    async def _note(self, notice: AlertDelivery, error: str | None) -> None:
        now, attempts = utc_now(), notice.attempts + 1
        values: dict[str, Any] = {"leased_until": None, "error": error, "ended_at": now, "state": DeliveryState.DELIVERED.value}
        if error is not None:
            values["state"] = DeliveryState.FAILED.value
            given_up = now - notice.created_at > timedelta(hours=self._settings.alerts.give_up_hours)
            if not given_up and error != "route_disabled":
                pause_s = min(FIRST_PAUSE_S * 2 ** min(attempts - 1, 12), LONGEST_PAUSE_S)
                values |= {"state": _WAITING, "ended_at": None, "next_at": now + timedelta(seconds=pause_s)}
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(update(AlertDelivery).where(col(AlertDelivery.id) == notice.id).values(**values))

    async def _tidy_in_time(self) -> None:
        if time.monotonic() < self._tidied + _TIDY_S:
            return
        self._tidied = time.monotonic()
        await self.tidy()

    async def tidy(self) -> None:
        """Delete what has been over for the days that the settings keep it."""
        before = utc_now() - timedelta(days=self._settings.alerts.kept_days)
        over = col(AlertRow.state) == AlertState.RESOLVED.value
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(delete(AlertDelivery).where(col(AlertDelivery.ended_at) < before))
            await session.exec(delete(AlertRow).where(over, col(AlertRow.resolved_at) < before))
