"""Values of requests, read and checked: the same rules for form fields, JSON members and X-IB header fields.

Every reader takes what real clients send (a form has texts only, so texts are taken for booleans and numbers
everywhere) and raises ``BadField``. ``Checks`` gathers what is wrong with a request, so that one answer names all
of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from ekiden.core.address import Address, BadAddress, parse_address
from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.core.states import Priority
from ekiden.core.texts import TranslatedError
from ekiden.dialects.infobip.errors import ApiError, Violation
from ekiden.dialects.infobip.news.reports import ReportJson, ReportXml
from ekiden.dialects.infobip.times import parse_time
from ekiden.dialects.infobip.translations import TEXTS
from ekiden.intake.mailing import MailingRecipient
from ekiden.mime.errors import BadMailbox
from ekiden.mime.html_links import PixelPosition
from ekiden.mime.mailbox import Mailbox, split_mailbox
from ekiden.mime.placeholders import MAX_SLOTS, too_many_slots
from ekiden.web.errors import RequestRefused
from ekiden.web.json_gauge import measure

T = TypeVar("T")

MISSING: Final = "must not be null"
MAX_BULK_ID: Final = 100  # contract §2.3
MAX_MESSAGE_ID: Final = 200
MAX_CAMPAIGN: Final = 255
MAX_PLATFORM_ID: Final = 255
MAX_SUBJECT: Final = 1_000
MAX_CALLBACK_DATA: Final = 4_000
MAX_URL: Final = 2_048
MAX_REPLY_TO: Final = 100
MAX_HEADERS: Final = 100
MAX_HEADER_VALUE: Final = 4_000
MAX_PLACEHOLDERS: Final = 1_000
MAX_JSON: Final = 1_048_576
"""Octets of JSON within a text: the placeholders of one recipient, or headers."""
_JSON_VALUES: Final = 2 * MAX_PLACEHOLDERS + 10
_JSON_DEPTH: Final = 4
AHEAD_V3: Final = 30
"""Days that ``sendAt`` may lie ahead (contract §2.2)."""
AHEAD_V4: Final = 5
"""The same for ``/email/4/messages`` (contract §2.3)."""
MAX_VALIDITY: Final = 48 * HOUR

NOT_SETTABLE: Final = frozenset(
    {
        "to",
        "cc",
        "bcc",
        "from",
        "subject",
        "content-type",
        "dkim-signature",
        "content-transfer-encoding",
        "return-path",
        "mime-version",
    }
)
"""Header fields that ``headers`` must not have (contract §2.2)."""

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}\Z", re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIELD_NAME: Final = re.compile(r"[!-9;-~]{1,76}\Z")  # RFC 5322 §3.6.8
_HOST: Final = re.compile(
    r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?\Z|\[[0-9a-f:.]+\]\Z", re.ASCII | re.IGNORECASE
)
TIME_UNITS: Final[dict[str, Millis]] = {"SECONDS": SECOND, "MINUTES": MINUTE, "HOURS": HOUR}


class BadField(TranslatedError, ValueError):
    """A value that cannot be as given; who asked knows the name of its field."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class Checks:
    """Violations as they are found."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._misshapen: tuple[str, ...] = ()

    def misshapen(self, violations: Sequence[Violation]) -> None:
        """Members that have not the shape they should: what is missing below them is no news."""
        self.violations += violations
        self._misshapen = tuple(violation.property for violation in violations)

    def take(self, property_: str, reader: Callable[[Any], T], value: Any, default: T) -> T:
        """``reader(value)``; ``default`` when there is no value, or a bad one, which is then noted."""
        if value is None:
            return default
        try:
            return reader(value)
        except BadField as error:
            if not self._known(property_):
                self.violations.append(Violation.of(property_, error))
            return default

    def add(self, property_: str, template: str, **values: Any) -> None:
        """Something is wrong with the field; the template is one of ``texts``. What could not be read is not
        missing."""
        if self._known(property_):
            return
        if template == MISSING and any(found.property == property_ for found in self.violations):
            return
        self.violations.append(Violation(property_, template, values))

    def _known(self, property_: str) -> bool:
        """Whether it follows from what was misshapen: it is at or below it."""
        return any(
            property_.startswith(path) and property_[len(path) : len(path) + 1] in ("", ".", "[")
            for path in self._misshapen
        )

    def done(self) -> None:
        """Raises the 400 when anything was wrong."""
        if self.violations:
            raise ApiError(400, self.violations)


def single(values: Sequence[T]) -> T | None:
    """The one value of a form field that may be given once; ``None``: not given. Equal repetitions are one."""
    if not values:
        return None
    if any(value != values[0] for value in values):
        raise BadField("must be given once")
    return values[0]


def boolean(value: Any) -> bool:
    """``true``, ``True``, ``1``, ``yes``, ``on`` and their contraries, in any case."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadField("must be true or false")


def whole(value: Any, lowest: int, highest: int) -> int:
    """A whole number within bounds."""
    if isinstance(value, str) and _WHOLE.match(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadField("must be a whole number")
    if not lowest <= value <= highest:
        raise BadField("must be between {lowest} and {highest}", lowest=lowest, highest=highest)
    return value


def line(value: Any, longest: int) -> str:
    """A text that may stand in a header or be shown on one line: not blank, no control characters."""
    if not isinstance(value, str):
        raise BadField("must be of another type: {why}", why=f"string, not {type(value).__name__}")
    if not value.strip():
        raise BadField("must not be blank")
    if len(value) > longest:
        raise BadField("size must be between {lowest} and {highest}", lowest=1, highest=longest)
    if _CONTROL.search(value) is not None:
        raise BadField("must not contain line breaks or control characters")
    _must_be_unicode(value)
    return value


def text(value: Any, longest: int) -> str:
    """A text of any number of lines, which may be empty.

    Control characters that spreadsheets and editors leave in it harm nobody: in a body they are encoded. But NUL is
    the end of a text for many readers.
    """
    if not isinstance(value, str):
        raise BadField("must be of another type: {why}", why=f"string, not {type(value).__name__}")
    if len(value) > longest:
        raise BadField("size must be between {lowest} and {highest}", lowest=0, highest=longest)
    _must_be_unicode(value)
    if "\0" in value:
        raise BadField("must not contain the character NUL")
    return value


def template(value: Any, longest: int) -> str:
    """A text with placeholders."""
    found = text(value, longest)
    if too_many_slots(found):
        raise BadField("must not have more than {most} placeholders", most=MAX_SLOTS)
    return found


def _must_be_unicode(value: str) -> None:
    # JSON can spell half of a surrogate pair, which no store and no mail can hold.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadField("must be valid Unicode text") from None


def identifier(value: Any, longest: int) -> str:
    """An id of the client's own, as a line without blanks around it."""
    return line(value, longest).strip()


def choice(value: Any, known: Iterable[str]) -> str:
    """One of a few words, in any case; as spelled in ``known``."""
    words = {word.upper(): word for word in known}
    found = words.get(str(value).strip().upper())
    if found is None:
        raise BadField("must be one of {known}", known=", ".join(words.values()))
    return found


def priority(value: Any) -> Priority:
    """``HIGH``, ``STANDARD``, ``LOW``."""
    return Priority[choice(value, Priority.__members__)]


def pixel_position(value: Any) -> PixelPosition:
    """``TOP`` or ``BOTTOM``."""
    return "TOP" if choice(value, ("TOP", "BOTTOM")) == "TOP" else "BOTTOM"


def report_format(value: Any) -> str:
    """``notifyContentType``: the name of the format of pushed reports. Parameters of the type do not matter."""
    media_type = str(value).partition(";")[0].strip().lower()
    if media_type == ReportJson.content_type:
        return ReportJson.name
    if media_type in (ReportXml.content_type, "text/xml"):
        return ReportXml.name
    raise BadField("must be one of {known}", known=f"{ReportJson.content_type}, {ReportXml.content_type}")


def url(value: Any) -> str:
    """Of a callback: http or https, with a host, without user name and password."""
    found = line(value, MAX_URL).strip()
    try:
        parts = urlsplit(found)
        good = (
            parts.scheme in ("http", "https")
            and not any(char.isspace() or char == "\\" for char in found)
            and "@" not in parts.netloc
            and parts.port != 0
            and _is_host(parts.hostname or "", parts.netloc)
        )
    except ValueError:  # a port or an address literal that is none
        good = False
    if not good:
        raise BadField("must be a http or https URL without user name and password")
    return found


def _is_host(host: str, netloc: str) -> bool:
    if netloc.startswith("["):
        host = f"[{host}]"
    if not host.isascii():
        try:
            host = parse_address(f"x@{host}").domain
        except BadAddress:
            return False
    return _HOST.match(host) is not None


def send_at(value: Any, now: Millis, days: int) -> Millis | None:
    """When to send; ``None``: at once, as for any time that is past."""
    try:
        at = parse_time(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise BadField("must be a time such as 2025-12-01T12:00:00.000Z")
    # A minute of grace for clocks that are not quite ours.
    if at > now + days * DAY + MINUTE:
        raise BadField("must not be more than {days} days ahead", days=days)
    return at if at > now else None


def validity(amount: Any, unit: Any = "MINUTES") -> Millis:
    """How long delivery may be tried, from ``validityPeriod``; more than 48 hours become 48 (contract §2.3)."""
    of = TIME_UNITS[choice(unit, TIME_UNITS)]
    return min(whole(amount, 1, 10**9) * of, MAX_VALIDITY)


def mailbox(value: Any) -> Mailbox:
    """``Name <a@b>`` or a bare address."""
    return _mailbox(value, carriers=True)[0]


def _mailbox(value: Any, *, carriers: bool) -> tuple[Mailbox, Address]:
    try:
        name, text = split_mailbox(line(value, MAX_SUBJECT).strip())
        found, address = Mailbox(name, text), parse_address(text, carriers=carriers)
    except (BadMailbox, BadAddress):
        raise BadField("must be a well-formed email address") from None
    if "<" in name or ">" in name:  # two mailboxes, most likely
        raise BadField("must be a well-formed email address")
    return found, address


def recipient(value: Any, values: Any = None, reference: str = "", *, carriers: bool = True) -> MailingRecipient:
    """As ``mailbox``; ``values`` are its own placeholders, ``None``: none. ``carriers`` is ``parse_address``'s."""
    found, address = _mailbox(value, carriers=carriers)
    own = {} if values is None else placeholders(values)
    return MailingRecipient(address, found.name, own, reference)


def form_recipient(value: str, *, carriers: bool = True) -> MailingRecipient:
    """As ``mailbox``, or JSON ``{"to": "a@b", "placeholders": {…}}`` (contract §2.2)."""
    if not value.lstrip().startswith("{"):
        return recipient(value, carriers=carriers)
    found = decoded(value)
    if not isinstance(found, dict) or "to" not in found or set(found) - {"to", "placeholders"}:
        raise BadField("must be JSON of the form {form}", form='{"to": "a@b", "placeholders": {}}')
    return recipient(found["to"], found.get("placeholders"), carriers=carriers)


def placeholders(value: Any) -> dict[str, str]:
    """Names and texts, from JSON in a string or from an object; numbers and booleans as JSON writes them."""
    found = _json_object(value)
    if len(found) > MAX_PLACEHOLDERS:
        raise BadField("must not have more than {most} entries", most=MAX_PLACEHOLDERS)
    return {_placeholder_text(name): _placeholder_text(of) for name, of in found.items()}


def _placeholder_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return _json_text(value)
    if not isinstance(value, str):
        raise BadField("must be JSON: an object whose values are texts")
    _must_be_unicode(value)
    return value


def headers(value: Any) -> tuple[tuple[str, str], ...]:
    """Further header fields, from JSON in a string or from an object; not those that are ``NOT_SETTABLE``."""
    found = _json_object(value)
    if len(found) > MAX_HEADERS:
        raise BadField("must not have more than {most} entries", most=MAX_HEADERS)
    kept: dict[str, tuple[str, str]] = {}
    for name, of in found.items():
        if _FIELD_NAME.match(name) is None:
            raise BadField("{name} is not the name of a header", name=repr(name[:80]))
        key = name.lower()
        if key in NOT_SETTABLE:
            raise BadField("header {name} cannot be set", name=name)
        if key in kept:
            raise BadField("header {name} is given twice", name=name)
        content = _json_text(of) if isinstance(of, bool | int | float) else of
        kept[key] = (name, line(content, MAX_HEADER_VALUE))
    return tuple(kept.values())


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _json_object(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and not value.strip():
        return {}
    found = decoded(value) if isinstance(value, str) else value
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise BadField("must be JSON: an object whose values are texts")
    return found


def decoded(value: str) -> Any:
    """What JSON within a text says; ``None`` for what is none, or more than anybody has to say in a field."""
    octets = value.encode("utf-8", "replace")
    if len(octets) > MAX_JSON:
        raise BadField("size must be between {lowest} and {highest}", lowest=0, highest=MAX_JSON)
    try:
        measure(octets, _JSON_VALUES, _JSON_DEPTH)
        return msgspec.json.decode(octets)
    except (RequestRefused, ValueError, RecursionError):
        return None
