"""Suites to begin with: `make eval SUITE=evals/examples/capitals.yaml`, `make eval SUITE=evals.examples.echo:PIPELINE`."""
