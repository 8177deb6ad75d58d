"""What is put on record: a closed set of actions, each of a category of the Elastic Common Schema."""

from enum import StrEnum


class Outcome(StrEnum):
    """How it ended: done, failed, or refused by a rule."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class Action(StrEnum):
    """Everything that is put on record. The name before the dot is of what, the one behind it what happened."""

    AUDIT_STARTED = "audit.started"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_BROKEN = "audit.broken"
    AUDIT_LOST = "audit.lost"
    AUDIT_ADDRESSES_ERASED = "audit.addresses_erased"
    SETTINGS_STARTED = "settings.started"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    REVOKED_KEY_USED = "revoked_key.used"
    REVOKED_TOKEN_USED = "revoked_token.used"  # noqa: S105 - no token
    SIGNIN_SUCCEEDED = "signin.succeeded"
    SIGNIN_FAILED = "signin.failed"
    SIGNIN_LOCKED = "signin.locked"
    SIGNIN_LINK_CREATED = "signin_link.created"
    SESSION_ENDED = "session.ended"
    TOKEN_ISSUED = "token.issued"  # noqa: S105
    TOKEN_REUSED = "token.reused"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    SCOPE_DENIED = "scope.denied"
    NETWORK_DENIED = "network.denied"
    ORIGIN_DENIED = "origin.denied"
    FETCH_REFUSED = "fetch.refused"
    GUARD_BLOCKED = "guard.blocked"
    PII_BLOCKED = "pii.blocked"
    DATA_POLICY_REFUSED = "data_policy.refused"
    ALERT_ROUTE_CHANGED = "alert_route.changed"
    BUDGET_CHANGED = "budget.changed"
    RATE_LIMIT_CHANGED = "rate_limit.changed"
    COST_CENTRE_CHANGED = "cost_centre.changed"
    MONTH_CLOSED = "month.closed"
    LEDGER_ADJUSTED = "ledger.adjusted"
    INVOICE_IMPORTED = "invoice.imported"
    INVOICE_REMOVED = "invoice.removed"
    EVAL_DATASET_ADDED = "eval_dataset.added"
    EVAL_DATASET_EXPORTED = "eval_dataset.exported"
    EVAL_DATASET_DELETED = "eval_dataset.deleted"
    EVAL_SUITE_CHANGED = "eval_suite.changed"
    EVAL_SUITE_DELETED = "eval_suite.deleted"
    EVAL_RUN_STARTED = "eval_run.started"
    EVAL_RUN_CANCELLED = "eval_run.cancelled"
    EVAL_RUN_DELETED = "eval_run.deleted"
    POLICY_CHANGED = "policy.changed"
    TENANT_CREATED = "tenant.created"
    TENANT_CHANGED = "tenant.changed"
    TENANT_DELETED = "tenant.deleted"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_PASSWORD_SET = "user.password_set"  # noqa: S105 - no password
    USER_PASSWORD_CHANGED = "user.password_changed"  # noqa: S105
    USER_DELETED = "user.deleted"
    USER_EXPORTED = "user.exported"
    TEAM_CHANGED = "team.changed"
    ROLE_CHANGED = "role.changed"
    SHARE_CHANGED = "share.changed"
    COLLECTION_CREATED = "collection.created"
    COLLECTION_CHANGED = "collection.changed"
    COLLECTION_DELETED = "collection.deleted"
    COLLECTION_SNAPSHOT = "collection.snapshot"
    COLLECTION_RESTORED = "collection.restored"
    COLLECTION_REINDEXED = "collection.reindexed"
    COLLECTION_GENERATION_DROPPED = "collection.generation_dropped"
    COLLECTION_RECONCILED = "collection.reconciled"
    DOCUMENT_ADDED = "document.added"
    DOCUMENT_DELETED = "document.deleted"
    DOCUMENT_RETRIED = "document.retried"
    SOURCE_CREATED = "source.created"
    SOURCE_CHANGED = "source.changed"
    SOURCE_CRAWLED = "source.crawled"
    SOURCE_DELETED = "source.deleted"
    INGESTION_PAUSED = "ingestion.paused"
    INGESTION_RESUMED = "ingestion.resumed"
    INGESTION_CANCELLED = "ingestion.cancelled"
    CONVERSATION_DELETED = "conversation.deleted"
    FILE_ADDED = "file.added"
    FILE_DELETED = "file.deleted"
    CACHE_DROPPED = "cache.dropped"
    PROVIDER_CREDENTIAL_ADDED = "provider_credential.added"
    PROVIDER_CREDENTIAL_TESTED = "provider_credential.tested"
    PROVIDER_CREDENTIAL_ROTATED = "provider_credential.rotated"
    PROVIDER_CREDENTIAL_REMOVED = "provider_credential.removed"
    SIGNING_KEY_ROTATED = "signing_key.rotated"
    ENCRYPTION_KEY_ROTATED = "encryption_key.rotated"
    ERASURE_FINISHED = "erasure.finished"
    EXPERIMENT_CREATED = "experiment.created"
    EXPERIMENT_CHANGED = "experiment.changed"
    EXPERIMENT_STARTED = "experiment.started"
    EXPERIMENT_ENDED = "experiment.ended"
    EXPERIMENT_DELETED = "experiment.deleted"
    KILL_SWITCH_SET = "kill_switch.set"
    KILL_SWITCH_LIFTED = "kill_switch.lifted"
    RETENTION_APPLIED = "retention.applied"
    MODEL_VERSION_CREATED = "model_version.created"
    MODEL_VERSION_APPROVED = "model_version.approved"
    MODEL_DEPLOYED = "model.deployed"
    MODEL_CANARY_CHANGED = "model.canary_changed"
    MODEL_ROLLED_BACK = "model.rolled_back"
    MODEL_WITHDRAWN = "model.withdrawn"
    PROMPT_VERSION_CREATED = "prompt_version.created"
    PROMPT_DEPLOYED = "prompt.deployed"
    PROMPT_ROLLED_BACK = "prompt.rolled_back"
    BACKUP_TAKEN = "backup.taken"
    BACKUP_RESTORED = "backup.restored"


_CATEGORIES = {
    "authentication": ("signin", "signin_link", "session", "token", "revoked_key", "revoked_token"),
    "iam": ("key", "user", "team", "role", "tenant", "share"),
    "configuration": (
        "settings",
        "policy",
        "alert_route",
        "budget",
        "rate_limit",
        "provider_credential",
        "encryption_key",
        "signing_key",
        "kill_switch",
        "experiment",
        "audit",
        "cost_centre",
        "source",
        "model",
        "model_version",
        "prompt",
        "prompt_version",
    ),
    "intrusion_detection": ("scope", "origin", "guard", "pii", "data_policy"),
    "network": ("network", "fetch"),
    "database": (
        "collection",
        "document",
        "ingestion",
        "conversation",
        "file",
        "cache",
        "erasure",
        "retention",
        "backup",
        "month",
        "ledger",
        "invoice",
        "eval_dataset",
        "eval_suite",
        "eval_run",
    ),
}
_CATEGORY_OF = {name: category for category, names in _CATEGORIES.items() for name in names}


def category(action: str) -> str:
    """`event.category` of the Elastic Common Schema (9.0, 2025)."""
    return _CATEGORY_OF[action.partition(".")[0]]
