"""Why a domain is not verified, or what is to be known of its records: codes, what they mean and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from ekiden.core.language import Language
from ekiden.domains.reason_translations import TEXTS

Code = Literal[
    "not_checked",
    "missing",
    "wrong_host",
    "pasted",
    "not_spf",
    "in_pieces",
    "several_records",
    "not_included",
    "without_include",
    "fails_for_address",
    "broken_include",
    "lookup_limit",
    "syntax",
    "key_differs",
    "revoked",
    "wrong_type",
    "key_restricted",
    "key_testing",
    "no_address",
    "dns_failure",
    "our_record",
    "approval_pending",
    "approval_refused",
    "dmarc_missing",
    "dmarc_several",
    "dmarc_advice",
    "mx_elsewhere",
    "our_mx",
]


Fault = Code | Literal[""]
"""A code, or nothing: everything is right."""


class Reason(NamedTuple):
    """``short`` needs no values; ``what`` and ``todo`` are filled with those of a check. ``todo`` may be empty."""

    short: str
    what: str
    todo: str = ""


REASONS: Final[Mapping[str, Reason]] = {
    "": Reason("everything is right", "the record is right"),
    "not_checked": Reason("not checked yet", "it was not checked yet", "publish the records, then ask for a check"),
    "missing": Reason(
        "a record is missing",
        "there is no such {type} record at {name}",
        "publish it as shown; a change can take up to 72 hours to be seen everywhere",
    ),
    "wrong_host": Reason(
        "a record is at a wrong name",
        "the record is at {found}, not at {name}",
        "move it to {name}; many DNS services add the domain to what is typed by themselves",
    ),
    "pasted": Reason(
        "a record has characters that do not belong to it",
        "the record at {name} has characters that do not belong to it, and is not read as it was meant: {found}",
        "publish it without {remove}: {suggestion}",
    ),
    "not_spf": Reason(
        "a record is not read as SPF",
        "the record at {name} is not an SPF record: {found}",
        "it has to begin with v=spf1 and a blank; change it to: {suggestion}",
    ),
    "in_pieces": Reason(
        "the DKIM record is in pieces",
        "the record at {name} is published as {count} records, each with a piece of it",
        "publish it as one record; a DNS service divides a long text by itself",
    ),
    "several_records": Reason(
        "there are several records where one is allowed",
        "there are {count} records at {name}, and only one is allowed",
        "leave one of them",
    ),
    "not_included": Reason(
        "the SPF record does not include us",
        "the SPF record does not permit our address {address}: it does not have include:{include}",
        "change the record to: {suggestion}",
    ),
    "without_include": Reason(
        "the SPF record permits our addresses, but does not include us",
        "the record permits our addresses without include:{include}, so it has to be changed whenever they do",
        "change the record to: {suggestion}",
    ),
    "fails_for_address": Reason(
        "SPF does not pass for one of our addresses",
        "SPF for our address {address} says {word}: {problem}",
        "put include:{include} before the term that decides, and without a sign before it",
    ),
    "broken_include": Reason(
        "the SPF record refers to a domain without SPF record",
        "{problem}",
        "take that term out of the record: receivers treat the whole record as broken",
    ),
    "lookup_limit": Reason(
        "the SPF record needs too many DNS lookups",
        "{problem}",
        "take out terms that ask the DNS (10 are allowed, RFC 7208 4.6.4), or replace them by ip4: and ip6:",
    ),
    "syntax": Reason("a record is not valid", "{problem}", "publish the record exactly as shown"),
    "key_differs": Reason(
        "the DKIM record has another key",
        "the record at {name} has another key than the one we sign with",
        "replace it by the one shown; see whether it was cut off or had characters added",
    ),
    "revoked": Reason(
        "the DKIM record revokes the key",
        "the record at {name} revokes the key: its p= is empty",
        "publish the record as shown",
    ),
    "wrong_type": Reason("the DKIM record is for another type of key", "{problem}", "publish the record as shown"),
    "key_restricted": Reason(
        "the DKIM record does not allow the key for e-mail", "{problem}", "publish the record as shown"
    ),
    "key_testing": Reason(
        "the DKIM record says that the domain is testing",
        "the record has t=y: some receivers then act as if there were no signature",
        "take t=y out of the record",
    ),
    "no_address": Reason(
        "the domain has no address record",
        "{name} has no A or AAAA record",
        "publish an A record for {name}, such as that of its website",
    ),
    "dns_failure": Reason(
        "the DNS gave no answer",
        "a question to the DNS failed: {problem}",
        "see whether the domain's name servers work; the check is repeated",
    ),
    "our_record": Reason(
        "the platform's own SPF record is not right",
        "it cannot be checked because of the platform's own record {include}: {problem}",
        "nothing is to be done at your domain; tell the operator of this platform (ekiden doctor)",
    ),
    "approval_pending": Reason(
        "an administrator has not approved it yet",
        "an administrator has not approved the domain yet",
        "answer the questionnaire, and wait for the approval",
    ),
    "approval_refused": Reason(
        "an administrator refused it",
        "an administrator refused the domain: {problem}",
        "answer the questionnaire again, in the sense of what was said",
    ),
    "dmarc_missing": Reason(
        "there is no DMARC record",
        "no DMARC record applies to the domain",
        "publish the one shown; large receivers demand one",
    ),
    "dmarc_several": Reason(
        "there are several DMARC records",
        "there are several DMARC records at {name}, so none of them counts",
        "leave one of them",
    ),
    "dmarc_advice": Reason("the DMARC record can be better", "{problem}"),
    "mx_elsewhere": Reason(
        "bounces would go to another server",
        "mail for {name} goes to {found}, not to us",
        "publish {expected} as the only MX record of {name}",
    ),
    "our_mx": Reason(
        "the platform's own mail host is not right",
        "it cannot be checked because the platform's own host {mx} has no address",
        "nothing is to be done at your domain; tell the operator of this platform (ekiden doctor)",
    ),
}


def short(code: str, lang: Language) -> str:
    """A few words for a code alone. A code that is not known stands for itself."""
    reason = REASONS.get(code)
    return code if reason is None else TEXTS(reason.short, lang)


def explanation(code: str, values: Mapping[str, Any], lang: Language) -> str:
    """What was found. A value that is a mapping from languages to texts is said in the language."""
    reason = REASONS.get(code)
    return code if reason is None else _filled(reason.what, values, lang)


def advice(code: str, values: Mapping[str, Any], lang: Language) -> str:
    """What to do; empty: nothing."""
    reason = REASONS.get(code)
    return _filled(reason.todo, values, lang) if reason is not None and reason.todo else ""


def _filled(template: str, values: Mapping[str, Any], lang: Language) -> str:
    chosen = {name: value[lang] if isinstance(value, Mapping) else value for name, value in values.items()}
    return TEXTS(template, lang, **chosen)
