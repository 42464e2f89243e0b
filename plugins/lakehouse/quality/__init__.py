"""Data quality: checks are data (dags/checks), what they find is a row each. Only `run` imports Airflow."""
