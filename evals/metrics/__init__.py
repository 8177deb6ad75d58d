"""Metrics: what scores the outcomes of an evaluation. One file a family, one line a metric.

A metric is made once a run, `cls(**options)`; one with `needs = "models"` is given them too, `cls(models=…, **options)`.
Options that it does not take raise ValueError. A package of your own adds metrics by the entry-point group `genai.metrics`.
"""

from core.plugins import PluginTable

METRICS = PluginTable(
    "metrics",
    {
        "bleu": "evals.metrics.translation:Bleu",
        "chrf": "evals.metrics.translation:ChrF",
        "ter": "evals.metrics.translation:Ter",
        "rouge1": "evals.metrics.rouge:Rouge1",
        "rouge2": "evals.metrics.rouge:Rouge2",
        "rougeL": "evals.metrics.rouge:RougeL",
        "rougeLsum": "evals.metrics.rouge:RougeLsum",
        "exact_match": "evals.metrics.matching:ExactMatch",
        "f1": "evals.metrics.matching:TokenF1",
        "regex": "evals.metrics.matching:Regex",
        "json_schema": "evals.metrics.json_form:JsonSchema",
        "embedding_similarity": "evals.metrics.similarity:EmbeddingSimilarity",
        "code_tests": "evals.metrics.code_tests:CodeTests",
        "latency": "evals.metrics.effort:Latency",
        "first_token": "evals.metrics.effort:FirstToken",
        "cost": "evals.metrics.effort:Cost",
        "output_tokens": "evals.metrics.effort:OutputTokens",
        "ndcg": "evals.metrics.ranking:Ndcg",
        "mrr": "evals.metrics.ranking:ReciprocalRank",
        "recall": "evals.metrics.ranking:Recall",
        "precision": "evals.metrics.ranking:Precision",
        "faithfulness": "evals.metrics.grounding:Faithfulness",
        "relevance": "evals.metrics.grounding:Relevance",
        "citation_precision": "evals.metrics.grounding:CitationPrecision",
        "citation_recall": "evals.metrics.grounding:CitationRecall",
        "rubric": "evals.metrics.rubric:Rubric",
        "preference": "evals.metrics.preference:Preference",
    },
)
