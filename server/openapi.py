"""The OpenAPI document."""

from fastapi import FastAPI


def describe_api(app: FastAPI) -> None:
    """Offer the document."""
