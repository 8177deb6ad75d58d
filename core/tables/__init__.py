"""All tables, imported here so that the migrations see every one. One file an aggregate."""

from core.tables.access import APIKey, BrowserSession, SignInToken
from core.tables.alerts import AlertDelivery, AlertRoute, AlertRouteKind, AlertRow, AlertState, DeliveryState
from core.tables.audit import AuditEvent, AuditHead
from core.tables.batches import Batch, BatchRow, BatchState, RowState, StoredFile, UnclaimedFile
from core.tables.budgets import Budget, BudgetMode
from core.tables.conversations import AnswerSource, Conversation, ConversationMessage
from core.tables.cost_centres import CostCentreRule
from core.tables.data_requests import DataRequest, DataRequestKind
from core.tables.documents import (
    Collection,
    CollectionShare,
    CollectionUpkeep,
    DepartedDocument,
    Document,
    DocumentState,
    ShareAccess,
    ShareKind,
)
from core.tables.encryption import KeyRotation, WrappedKey
from core.tables.evaluations import EvalDataset, EvalExample, EvalResult, EvalRun, EvalSuite, ResultState, RunState
from core.tables.experiments import Experiment, ExperimentState, Exposure
from core.tables.feedback import Feedback
from core.tables.idempotency import IdempotencyRecord
from core.tables.identity import AccessEpoch, CustomRole, Team, TeamMember, Tenant, User, UserKind
from core.tables.index_generations import GenerationState, IndexGeneration
from core.tables.jobs import Job, JobEvent, JobState
from core.tables.kill_switches import KillKind, KillSwitch
from core.tables.ledger import LedgerRow
from core.tables.monitors import (
    AnomalyState,
    MonitorAnomaly,
    MonitorGrade,
    MonitorPoint,
    MonitorSeries,
    MonitorSketch,
    MonitorTurn,
)
from core.tables.month_close import ClosedMonth, Invoice, InvoiceLine, LedgerAdjustment
from core.tables.outcomes import RequestOutcome
from core.tables.provider_credentials import ProviderCredential
from core.tables.rate_limits import Each, RateLimit
from core.tables.registry import Registered, RegistryEvent, RegistryHead, RegistryVersion, VersionState
from core.tables.sign_in import RefreshToken, SignInAttempts, SigningKey, SigningKeyState, TokenFamily
from core.tables.sources import Source, SourceState
from core.tables.usage import UsageHour, UsageLatency, UsageSpan, UsageTurn

__all__ = [
    "APIKey",
    "AccessEpoch",
    "AlertDelivery",
    "AlertRoute",
    "AlertRouteKind",
    "AlertRow",
    "AlertState",
    "AnomalyState",
    "AnswerSource",
    "AuditEvent",
    "AuditHead",
    "Batch",
    "BatchRow",
    "BatchState",
    "BrowserSession",
    "Budget",
    "BudgetMode",
    "ClosedMonth",
    "Collection",
    "CollectionShare",
    "CollectionUpkeep",
    "Conversation",
    "ConversationMessage",
    "CostCentreRule",
    "CustomRole",
    "DataRequest",
    "DataRequestKind",
    "DeliveryState",
    "DepartedDocument",
    "Document",
    "DocumentState",
    "Each",
    "EvalDataset",
    "EvalExample",
    "EvalResult",
    "EvalRun",
    "EvalSuite",
    "Experiment",
    "ExperimentState",
    "Exposure",
    "Feedback",
    "GenerationState",
    "IdempotencyRecord",
    "IndexGeneration",
    "Invoice",
    "InvoiceLine",
    "Job",
    "JobEvent",
    "JobState",
    "KeyRotation",
    "KillKind",
    "KillSwitch",
    "LedgerAdjustment",
    "LedgerRow",
    "MonitorAnomaly",
    "MonitorGrade",
    "MonitorPoint",
    "MonitorSeries",
    "MonitorSketch",
    "MonitorTurn",
    "ProviderCredential",
    "RateLimit",
    "RefreshToken",
    "Registered",
    "RegistryEvent",
    "RegistryHead",
    "RegistryVersion",
    "RequestOutcome",
    "ResultState",
    "RowState",
    "RunState",
    "ShareAccess",
    "ShareKind",
    "SignInAttempts",
    "SignInToken",
    "SigningKey",
    "SigningKeyState",
    "Source",
    "SourceState",
    "StoredFile",
    "Team",
    "TeamMember",
    "Tenant",
    "TokenFamily",
    "UnclaimedFile",
    "UsageHour",
    "UsageLatency",
    "UsageSpan",
    "UsageTurn",
    "User",
    "UserKind",
    "VersionState",
    "WrappedKey",
]
