"""Hooks own the protocols."""
