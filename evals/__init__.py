"""Metrics, datasets, runs and comparisons."""
