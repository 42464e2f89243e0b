-- Roles of the catalog's database. Passwords are set by the setup, not in SQL that could be logged.
-- Run as the superuser, in the database postgres, as often as one likes.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['lake_setup', 'lake_flink', 'lake_trino', 'lake_reader', 'lake_airflow', 'lake_superset'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT', role);
        END IF;
    END LOOP;
END
$$;
