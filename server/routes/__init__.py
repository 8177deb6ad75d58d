"""The routes, one module a resource; each has a `router`."""

#: Modules of this package, in the order in which the API documentation shows them.
ROUTERS = (
    "front",
    "health",
    "auth",
    "sign_in",
    "account",
    "tokens",
    "keys",
    "users",
    "tenants",
    "models",
    "cache",
    "collections",
    "documents",
    "search",
    "jobs",
    "batches",
    "sessions",
    "pii",
    "policies",
    "audit",
    "admin.overview",
)
