"""Estimates of requests, tokens, money and time before anything is spent."""
