"""Shipped additions to the numbering plan, one CSV a country code. Format: docs/numbers.md."""
