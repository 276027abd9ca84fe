"""How it shows that the store cannot be reached, for rooms that use it through services only."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import InterfaceError, OperationalError

from ekiden.store.api import StoreError

UNAVAILABLE: Final[tuple[type[Exception], ...]] = (StoreError, OperationalError, InterfaceError, OSError)
"""What services raise then. The same call may succeed later."""
