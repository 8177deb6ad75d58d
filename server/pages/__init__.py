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

from server.security_headers import PAGE_POLICY

PAGES = Path(__file__).parent
STATIC = PAGES / "static"


@lru_cache(1)
def _templates() -> Jinja2Templates:
    templates = Jinja2Templates(PAGES)
    templates.env.filters["code"] = _with_code
    templates.env.filters["moment"] = _moment
    templates.env.filters["day"] = lambda at: _moment(at, "%Y-%m-%d")
    return templates


def _with_code(text: str) -> Markup:
    """A sentence with its `backticked` parts as code, the rest escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def _moment(at: datetime, shown: str = "%Y-%m-%d %H:%M") -> Markup:
    """A moment for people and for programs, in UTC."""
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), at.strftime(shown))


def render(request: Request, name: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
    """A page from its template, escaped, with a strict content security policy."""
    headers = {"content-security-policy": PAGE_POLICY}
    response: HTMLResponse = _templates().TemplateResponse(request, name, dict(values), status_code=status, headers=headers)
    return response
