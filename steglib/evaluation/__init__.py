"""Scores of hiders, and figures of them."""
