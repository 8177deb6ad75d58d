"""The pages for people: templates, and how they are rendered."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response
from starlette.templating import Jinja2Templates

from server.chart_files import script_address
from server.pages.figures import in_words
from server.security_headers import PAGE_POLICY

PAGES = Path(__file__).parent
STATIC = PAGES / "static"
_UNITS = ("B", "kB", "MB", "GB")


@lru_cache(1)
def _templates() -> Jinja2Templates:
    templates = Jinja2Templates(PAGES)
    templates.env.filters["code"] = _with_code
    templates.env.filters["moment"] = _moment
    templates.env.filters["size"] = _size
    templates.env.filters["worded"] = in_words
    templates.env.globals["chart_script"] = script_address
    templates.env.filters["day"] = lambda at: _moment(at, "%Y-%m-%d")
    return templates


def _with_code(text: str) -> Markup:
    """A sentence with its `backticked` parts as code, the rest escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def _moment(at: datetime, shown: str = "%Y-%m-%d %H:%M") -> Markup:
    """A moment for people and for programs, in UTC."""
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), at.strftime(shown))


def _size(count: int) -> str:
    """Bytes for people: `812 B`, `1.4 MB`."""
    if count < 1000:
        return f"{count} B"
    power = min(len(str(count)) - 1, 9) // 3
    amount = count / 1000**power
    return f"{amount:.0f} {_UNITS[power]}" if amount >= 100 else f"{amount:.1f} {_UNITS[power]}"


def render(request: Request, name: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
    """A page from its template, escaped, with a strict content security policy."""
    headers = {"content-security-policy": PAGE_POLICY}
    response: HTMLResponse = _templates().TemplateResponse(request, name, dict(values), status_code=status, headers=headers)
    return response
