"""Kafka's console: topics, groups, lag and records, in the terminal (`./lake kafka`) and in the browser."""

SESSIONS = 4
"""So many pages may be open at once: each has a process of its own."""
