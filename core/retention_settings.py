"""The settings of how long data is kept: beside `core.sections`, since tenants can tighten them."""

from pydantic import Field

from core.policies.retention import Days, RetentionPolicy
from core.sections import Section


class RetentionSettings(RetentionPolicy, Section):
    """How long data is kept, for all tenants; each may have it kept for a shorter time by its policy `retention`."""

    batches_days: Days | None = Field(30, description="days after its end that a batch is kept, with its files")
    uploads_days: Days | None = Field(30, description="days that an uploaded file is kept which no batch uses")
    evaluations_days: Days | None = Field(365, description="days after its end that a run of an evaluation is kept")
    jobs_days: Days | None = Field(90, description="days after its end that a job is kept, with its events")
    idempotency_days: Days | None = Field(1, description="days that the answer to an Idempotency-Key is given again")
    exports_days: Days | None = Field(7, description="days that an export of somebody's data can be fetched")
    audit_address_days: float | None = Field(
        None, ge=30, description="days, 30 at least, after which network addresses are erased from the audit log; empty: never"
    )
    every_s: float = Field(3600, gt=0, description="seconds between two looks for what is past its time")

    def policy(self) -> RetentionPolicy:
        """What of it tenants can tighten."""
        return RetentionPolicy(**self.model_dump(include=set(RetentionPolicy.model_fields)))
