"""The page "Lakehouse" in Airflow's UI: the data's way from producer to dashboard, with live figures. It only reads."""
