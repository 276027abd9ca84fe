"""Alembic's environment and the revisions of the database. Run by ``ekiden.store.migrate``; no alembic.ini needed.

A new revision: change ``store/tables/``, add ``versions/vNNNN_what.py`` whose ``down_revision`` is the current
head, and set ``HEAD``. Released revisions are never edited. Revisions go up only.
"""

HEAD = "0018"
"""The revision that this Ekiden reads and writes; here so that a start need not load Alembic to know it."""
