"""Kafka's own configuration, and its console."""
