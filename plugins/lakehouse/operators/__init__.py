"""Operators submit, defer and judge."""
