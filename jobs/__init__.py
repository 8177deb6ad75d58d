"""Slow work, done by Dramatiq workers: inside the server process, or in processes of their own.

A job is one file here and one line in this table: the actor's name → what it runs.
"""

from core.plugins import PluginTable

JOBS = PluginTable(
    "jobs",
    {
        "check_fusion": "jobs.fusion_checks:CHECK_FUSION",
        "crawl_source": "jobs.crawling:CRAWL_SOURCE",
        "ingest_document": "jobs.ingestion:INGEST_DOCUMENT",
        "reconcile_collection": "jobs.reconciliation:RECONCILE_COLLECTION",
        "work_on_generation": "jobs.reindexing:WORK_ON_GENERATION",
        "run_batch": "jobs.batches:RUN",
        "run_evaluation": "jobs.evaluation:RUN",
        "run_data_request": "jobs.data_requests:RUN",
        "run_snapshot": "jobs.data_requests:RUN_SNAPSHOT",
    },
)
