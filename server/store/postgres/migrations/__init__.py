"""The migrations of the tables in Postgres, which Alembic runs."""
