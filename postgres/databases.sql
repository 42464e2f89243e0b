-- Who may enter which database. Run as the superuser once the databases are there, as often as one likes.
REVOKE ALL ON DATABASE airflow, superset FROM PUBLIC;
