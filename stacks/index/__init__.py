"""The Index stack."""
