"""Maintenance of the tables: measure, decide, act, record. No module here imports Airflow."""
