"""The Foundation stack."""
