"""What is kept: tables, migrations, the hot path, retention; on SQLite or PostgreSQL."""
