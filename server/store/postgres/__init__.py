"""The store in Postgres: several server processes read and write it (extra `postgres`)."""

import logging

logging.getLogger("alembic").setLevel(logging.WARNING)  # else it tells of each plugin it imports
