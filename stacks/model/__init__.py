"""The Model stack."""
