"""Vector stores, one file each, behind `retrievers.base.VectorStore`."""
