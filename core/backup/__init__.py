"""Backups: database, files and what else the data directory has that cannot be made again, and back. The keys go apart.

`taking` makes one beside a platform that serves, `restoring` puts one back, `manifest` is what both read. What it is for and
what it leaves out: `docs/operations.md`.
"""
