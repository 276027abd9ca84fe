"""PostgreSQL's own processes: each serves one connection, and may still commit what a killed process sent it."""

from __future__ import annotations

import asyncpg


async def end_all(url: str) -> int:
    """End every connection to the database; returns how many, when they are gone."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(found)
    finally:
        await connection.close()
