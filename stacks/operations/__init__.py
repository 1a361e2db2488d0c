"""The Operations stack."""
