-- The tables of Iceberg's JDBC catalog (schema V1) and who may do what with them.
-- Run as lake_setup, who owns the database iceberg, as often as one likes.
CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL,
    table_namespace VARCHAR(255) NOT NULL,
    table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000),
    previous_metadata_location VARCHAR(1000),
    iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL,
    namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000),
    PRIMARY KEY (catalog_name, namespace, property_key)
);

REVOKE ALL ON DATABASE iceberg FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE iceberg TO lake_flink, lake_trino, lake_reader;
GRANT USAGE ON SCHEMA public TO lake_flink, lake_trino, lake_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON iceberg_tables, iceberg_namespace_properties TO lake_flink, lake_trino;
GRANT SELECT ON iceberg_tables, iceberg_namespace_properties TO lake_reader;
