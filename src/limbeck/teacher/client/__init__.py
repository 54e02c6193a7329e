"""The teacher client: sends requests, enforces the budget and keeps the ledger."""
