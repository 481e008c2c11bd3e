"""The store in Postgres: several server processes read and write it (extra `postgres`)."""
