"""Clicklake: the real-time clickstream lakehouse that Airflow runs."""
