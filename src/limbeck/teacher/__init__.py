"""The teacher: requests to the large model, their budget and their ledger. Imports no torch."""
