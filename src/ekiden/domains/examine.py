"""One look at each of a domain's records. No database here: questions to the DNS in, checks out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from ekiden.core.language import Language
from ekiden.domains.model import Check, Key, Result
from ekiden.domains.reasons import Fault
from ekiden.sender_auth.dkim_key import check_published, parse_key_record
from ekiden.sender_auth.dmarc import discover
from ekiden.sender_auth.dmarc_advice import advise
from ekiden.sender_auth.dmarc_record import is_dmarc_record, parse_dmarc_record
from ekiden.sender_auth.dns import RecordType, TemporaryDnsError
from ekiden.sender_auth.pasted import cleaned, joined, named
from ekiden.sender_auth.recorded_lookup import RecordedLookup
from ekiden.sender_auth.spf_errors import SpfSyntaxError
from ekiden.sender_auth.spf_record import is_spf_record, parse_spf_record

if TYPE_CHECKING:
    from ekiden.domains.outgoing import Outgoing
    from ekiden.sender_auth.dns import Lookup
    from ekiden.sender_auth.pasted import Stray
    from ekiden.sender_auth.spf_result import SpfResult

MAX_ANSWERS: Final = 10
"""Of one question, those that are kept."""
MAX_ANSWER: Final = 2_000
"""Characters of an answer that are kept."""
MAX_PROBLEM: Final = 500
_MAX_FOUND: Final = 120
# A token that proves something else to somebody may have the three letters anywhere.
_MEANT_AS_SPF: Final = re.compile(rb"\W*(?:v\W*)?spf", re.IGNORECASE)
_LIMITS: Final = frozenset({"lookup_limit", "void_limit", "mx_limit"})
_KEY_CODES: Final[dict[str, Fault]] = {
    "several": "several_records",
    "revoked": "revoked",
    "wrong_type": "wrong_type",
    "key_type": "wrong_type",
    "differs": "key_differs",
    "not_for_mail": "key_restricted",
    "wrong_hash": "key_restricted",
}


class Examination:
    """The checks of one domain at one time; no question is asked twice."""

    def __init__(self, domain: str, lookup: Lookup, ours: Outgoing) -> None:
        self._domain = domain
        self._lookup = RecordedLookup(lookup)
        self._ours = ours

    # SPF

    async def spf(self) -> Check:
        """Whether SPF passes for each of our outgoing addresses."""
        try:
            addresses = await self._ours.resolve(self._lookup)
        except TemporaryDnsError as error:
            return await self._spf("temporary", "our_record", problem=both(str(error)))
        included = True
        for address in addresses:
            result = await self._ours.evaluate(address, self._domain, self._lookup)
            if result.word != "pass":
                return await self._not_passed(address, result, addresses)
            included = included and self._leads_to_us(result)
        if not addresses:
            return await self._spf("temporary", "our_record", problem=await self._ours.fault((), self._lookup))
        # Another term may have matched before ours was reached.
        included = included or await self._includes_us(permitting=True)
        return await self._spf("pass", "" if included else "without_include")

    async def _not_passed(self, address: str, result: SpfResult, addresses: Sequence[str]) -> Check:
        problem = _inboth(result)
        if result.reason == "no_record" and result.domain == self._domain:
            return await self._no_spf()
        if result.reason == "several_records" and not result.path:
            records = [record for record in await self._texts(self._domain) if is_spf_record(record)]
            return await self._spf("fail", "several_records", count=len(records))
        if result.record is not None and (pasted := await self._pasted_spf()) is not None:
            return pasted
        includes = await self._includes_us(permitting=False)
        if includes or result.domain.lower() == self._ours.include:
            fault = await self._ours.fault(addresses, self._lookup)
            if fault is not None:
                return await self._spf("temporary", "our_record", problem=fault)
        if result.word == "temperror":
            # What the DNS said alone: that it failed is said already.
            return await self._spf("temporary", "dns_failure", problem=both(str(result.values["problem"])))
        if result.reason in _LIMITS:
            return await self._spf("fail", "lookup_limit", problem=problem)
        if result.reason in ("include_none", "redirect_none"):
            return await self._spf("fail", "broken_include", problem=problem)
        if result.word == "permerror":
            return await self._spf("fail", "syntax", problem=problem)
        code: Fault = "fails_for_address" if includes else "not_included"
        return await self._spf("fail", code, address=address, word=result.word, problem=problem)

    def _leads_to_us(self, result: SpfResult) -> bool:
        names = [self._domain, *(step.domain for step in result.path)]
        return any(name.lower() == self._ours.include for name in names)

    async def _includes_us(self, *, permitting: bool) -> bool:
        """Whether the domain's record leads to ours, by whatever way; ``permitting``: so that it has an effect."""
        try:
            return await self._ours.is_included(self._domain, self._lookup, permitting=permitting)
        except TemporaryDnsError:
            return True  # nothing is said of what is not known

    async def _no_spf(self) -> Check:
        """No record counts as SPF: it is missing, elsewhere, or there in a form that nobody reads."""
        pasted = await self._pasted_spf()
        if pasted is not None:
            return pasted
        meant = [record for record in await self._texts(self._domain) if _MEANT_AS_SPF.match(record)]
        found = await self._misplaced_spf()
        if not meant or found:
            return await self._spf("fail", "wrong_host" if found else "missing", found=found)
        return await self._spf("fail", "not_spf", meant, found=_visible(meant[0]))

    async def _pasted_spf(self) -> Check | None:
        """The domain's record, when it is one only without what was pasted with it."""
        records = await self._texts(self._domain)
        for record in [record for record in records if is_spf_record(record)] or records:
            clean, strays = cleaned(record)
            if not strays or not is_spf_record(clean):
                continue
            try:
                parse_spf_record(clean)
            except SpfSyntaxError:
                continue
            suggestion = spf_suggestion(clean.decode("ascii"), self._ours.include)
            return await self._spf("fail", "pasted", [record], **_pasted(record, strays, suggestion))
        return None

    async def _misplaced_spf(self) -> str:
        """A wrong name that has the record which was meant for the domain; empty: none was found."""
        wanted = f"include:{self._ours.include}"
        for name in (f"{self._domain}.{self._domain}", f"www.{self._domain}", f"_spf.{self._domain}"):
            for record in await self._texts(name):
                clean, _ = cleaned(record)
                text = clean.decode("ascii", "replace").lower()
                if is_spf_record(clean) and any(_is_term(term, wanted) for term in text.split()):
                    return name
        return ""

    async def _spf(self, result: Result, code: Fault, answers: Sequence[bytes] = (), **values: Any) -> Check:
        """``answers``: what to show as answered, when it is not what begins as an SPF record does."""
        include = self._ours.include
        found = list(answers)
        if not found:
            found = [record for record in await self._texts(self._domain) if record[:6].lower() == b"v=spf1"]
        records = _shown(found)
        usable = len(found) == 1 and len(found[0]) <= MAX_ANSWER and is_spf_record(found[0])
        suggestion = spf_suggestion(records[0] if usable else "", include)
        values = {"include": include, "suggestion": suggestion, **values}
        asked = (self._domain, "TXT")
        # The record that is included is its own affair.
        expected = "" if self._domain == include else spf_suggestion("", include)
        return Check("spf", result, code, asked, expected, records, values)

    # the address

    async def address(self) -> Check:
        """Whether the domain has an A record, or an AAAA record, which is as good."""
        answers: list[str] = []
        problem = ""
        kinds: tuple[RecordType, ...] = ("A", "AAAA")
        for rdtype in kinds:
            try:
                answers += await self._lookup(self._domain, rdtype)
            except TemporaryDnsError as error:
                problem = str(error)
        asked = (self._domain, "A")
        if answers:
            return Check("address", "pass", "", asked, "", tuple(answers[:MAX_ANSWERS]))
        if problem:
            return Check("address", "temporary", "dns_failure", asked, "", (), {"problem": both(problem)})
        return Check("address", "fail", "no_address", asked, "")

    # DKIM

    async def key(self, key: Key) -> Check:
        """Whether the record of a key is published as it is to be."""
        try:
            records = await self._lookup(key.name, "TXT")
        except TemporaryDnsError as error:
            return self._key(key, (), "temporary", "dns_failure", problem=both(str(error)))
        public = parse_key_record(key.record.encode()).public
        assert public is not None  # we made the record
        check = check_published(records, public)
        if check.ok:
            return self._key(key, records, "pass", "key_testing" if check.testing else "")
        if check.verdict == "missing":
            for name in self._wrong_names(key):
                if any(check_published([cleaned(record)[0]], public).ok for record in await self._texts(name)):
                    return self._key(key, records, "fail", "wrong_host", found=name)
            return self._key(key, records, "fail", "missing")
        if len(records) == 1:
            clean, strays = cleaned(records[0])
            if strays and check_published([clean], public).ok:
                return self._key(key, records, "fail", "pasted", **_pasted(records[0], strays, key.record))
        if any(check_published([whole], public).ok for whole in joined(records)):
            return self._key(key, records, "fail", "in_pieces", count=len(records))
        problem = _inboth(check)
        code = _KEY_CODES.get(check.verdict, "syntax")
        return self._key(key, records, "fail", code, problem=problem, count=len(records))

    def _wrong_names(self, key: Key) -> tuple[str, ...]:
        """Where the record lands when the domain is added twice, or when a part of the name was left out."""
        return (
            f"{key.name}.{self._domain}",
            f"{key.selector}.{self._domain}",
            f"_domainkey.{self._domain}",
            f"{key.selector}.domainkey.{self._domain}",
            self._domain,
        )

    def _key(self, key: Key, records: Sequence[bytes], result: Result, code: Fault, **values: Any) -> Check:
        asked = (key.name, "TXT")
        return Check(key.kind, result, code, asked, key.record, _shown(records), values)

    # DMARC

    async def dmarc(self) -> Check:
        """Which DMARC record applies, and what could be better; it decides nothing."""
        pasted = await self._pasted_dmarc()
        if pasted is not None:
            return pasted
        found = await discover(self._domain, self._lookup)
        name = f"_dmarc.{found.policy_domain or self._domain}"
        asked = (name, "TXT")
        expected = dmarc_suggestion(self._domain)
        answers = _shown(await self._texts(name))
        if found.record is None:
            if found.reason == "dns":
                problem = next((asked.error for asked in found.trace if asked.error), "")
                return Check("dmarc", "temporary", "dns_failure", asked, expected, (), {"problem": both(problem)})
            code: Fault = "dmarc_several" if found.reason == "several_records" else "dmarc_missing"
            return Check("dmarc", "advice", code, asked, expected, answers)
        worth = [advice for advice in advise(found.record, self._domain) if advice.severity != "info"]
        if not worth:
            return Check("dmarc", "pass", "", asked, expected, answers)
        return Check("dmarc", "advice", "dmarc_advice", asked, expected, answers, {"problem": _inboth(worth[0])})

    async def _pasted_dmarc(self) -> Check | None:
        """The domain's own record, when it only works as it was meant without what was pasted with it."""
        name = f"_dmarc.{self._domain}"
        records = await self._texts(name)
        for record in [record for record in records if is_dmarc_record(record)] or records:
            clean, strays = cleaned(record)
            if not strays or not is_dmarc_record(clean):
                continue
            if not is_dmarc_record(record) or _worth_fewer_remarks(clean, record):
                values = _pasted(record, strays, clean.decode("ascii", "replace"))
                expected = dmarc_suggestion(self._domain)
                return Check("dmarc", "advice", "pasted", (name, "TXT"), expected, _shown([record]), values)
        return None

    async def _texts(self, name: str) -> Sequence[bytes]:
        """TXT records of a name that it is only good to know of."""
        try:
            return await self._lookup(name, "TXT")
        except TemporaryDnsError:
            return ()


def spf_suggestion(record: str, include: str) -> str:
    """The SPF record to publish: a new one, or ``record`` with us in it."""
    if not record:
        return f"v=spf1 include:{include} ~all"
    terms = [term for term in record.split()[1:] if not _is_term(term.lower(), f"include:{include}")]
    return " ".join([record.split(maxsplit=1)[0], f"include:{include}", *terms])


def _is_term(term: str, wanted: str) -> bool:
    """Whether a term in lower case is ``wanted``, with any qualifier; a name may end in its dot."""
    return term.lstrip("+-~?").removesuffix(".") == wanted


def dmarc_suggestion(domain: str) -> str:
    """A DMARC record to begin with."""
    return f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}"


def _worth_fewer_remarks(clean: bytes, record: bytes) -> bool:
    return len(parse_dmarc_record(clean).problems) < len(parse_dmarc_record(record).problems)


def _pasted(record: bytes, strays: frozenset[Stray], suggestion: str) -> dict[str, Any]:
    remove = {"en": named(strays, "en"), "ja": named(strays, "ja")}
    return {"found": _visible(record), "remove": remove, "suggestion": _cut(suggestion, MAX_ANSWER)}


def _visible(record: bytes) -> str:
    """A record as found, in a sentence: blanks at its ends are seen, and a long one is cut."""
    (text,) = _shown([record])
    blanks, rest = len(text) - len(text.lstrip(" ")), text.strip(" ")
    return _cut("␣" * blanks + rest + "␣" * (len(text) - len(rest) - blanks), _MAX_FOUND)


def _shown(records: Sequence[bytes]) -> tuple[str, ...]:
    """Answers as they are kept: strangers write them, so not more than anybody would read."""
    shown = (record[: MAX_ANSWER + 1].decode("ascii", "backslashreplace") for record in records[:MAX_ANSWERS])
    return tuple(_cut(text, MAX_ANSWER) for text in shown)


class _Telling(Protocol):
    def text(self, lang: Language) -> str: ...


def _inboth(told: _Telling) -> dict[str, str]:
    """A sentence in both languages; it may quote what strangers wrote."""
    return {"en": _cut(told.text("en"), MAX_PROBLEM), "ja": _cut(told.text("ja"), MAX_PROBLEM)}


def both(problem: str) -> dict[str, str]:
    """What a library says, which speaks English only."""
    return {"en": _cut(problem, MAX_PROBLEM), "ja": _cut(problem, MAX_PROBLEM)}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
