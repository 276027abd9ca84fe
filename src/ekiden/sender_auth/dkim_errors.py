"""What can be wrong with a message, a key or a key record of DKIM, in words for people."""

from __future__ import annotations

from typing import Any, Literal

from ekiden.core.texts import TranslatedError
from ekiden.sender_auth.dkim_translations import TEXTS


class DkimError(TranslatedError):
    """DKIM cannot do what was asked. Nothing was signed or changed."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class NoFromField(DkimError):
    """A message without From cannot be signed (RFC 6376 §5.4)."""


class BadSigningKey(DkimError, ValueError):
    """A private key, domain, selector or identity that no signature can be made with."""


class BadTagList(DkimError, ValueError):
    """Text that is no tag list (RFC 6376 §3.2)."""


RecordFault = Literal["syntax", "version", "no_key", "bad_key", "key_type"]


class BadKeyRecord(DkimError, ValueError):
    """A TXT record that holds no usable key (RFC 6376 §3.6.1). ``fault`` says why, for programs."""

    def __init__(self, fault: RecordFault, template: str, **values: Any) -> None:
        super().__init__(template, **values)
        self.fault = fault
