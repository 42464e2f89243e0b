"""Airflow runs the lakehouse: hooks, operators, triggers and the page."""
