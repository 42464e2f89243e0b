"""Triggers wait."""
