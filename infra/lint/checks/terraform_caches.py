"""What a CDN keeps: static files and public documents, and no path of the API, whose answers are a caller's own."""

import fnmatch
from collections.abc import Iterator

from infra.lint import hcl
from infra.lint.finding import Finding
from infra.lint.stacks import modules
from infra.lint.tree import Tree

#: The local that names them, in each cloud's module.
NAME = "cached_paths"
#: What the platform serves beside its API, and lets be kept (`cache-control`).
PUBLIC = frozenset({"/static/*", "/favicon.ico", "/.well-known/jwks.json"})


def check(tree: Tree) -> Iterator[Finding]:
    """Paths that are kept and should not be, and modules with a CDN that do not say what they keep."""
    for module in modules(tree):
        for block, attribute in (value for name, value in module.locals.items() if name == NAME):
            for path in hcl.strings(attribute.text):
                kept = [route for route in tree.application.routes if fnmatch.fnmatch(route, path)]
                if kept:
                    yield Finding(tree.relative(block.path), attribute.line, f"{path} would keep answers of {min(kept)}")
                elif path not in PUBLIC:
                    yield Finding(tree.relative(block.path), attribute.line, f"{path} is nothing that may be kept")
        for block in module.of("resource"):
            if block.labels[0] in _CACHES and NAME not in module.locals:
                yield Finding(tree.relative(block.path), block.line, f"{block.labels[0]} does not say what it keeps")


_CACHES = {"aws_cloudfront_distribution", "azurerm_cdn_frontdoor_route", "google_compute_url_map"}
