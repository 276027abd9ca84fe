"""The questionnaire, and what an administrator decides."""

from __future__ import annotations

from typing import Any

import pytest
from domain_owner import ADMIN, Owner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from ekiden.access.audit import list_entries
from ekiden.domains.errors import BadAnswer, DomainInUse, DomainsError
from ekiden.domains.questionnaire import QUESTIONS, validate
from ekiden.domains.translations import TEXTS
from ekiden.store.api import Store
from ekiden.store.tables import smtp_configuration

ANSWERS: dict[str, Any] = {
    "nature": "Transactional",
    "website": "https://shop.example/about",
    "usage": "receipts and password resets",
    "subscribers": "customers only",
    "bounces": "removed at once",
    "unsubscribing": "a link in every mail",
    "rate": "orders of the busiest hour",
    "cleaning": True,
    "contacts": "ops@shop.example, 運用@例え.example",
    "reply_to": True,
    "consent": True,
    "unsubscribe_link": True,
    "html": False,
}


async def test_records_and_an_approval(owner: Owner, store: Store) -> None:
    domain = await owner.verified(approval=True)
    assert (domain.status, domain.spf, domain.dkim, domain.reason) == (
        "pending",
        "successful",
        "successful",
        "approval_pending",
    )
    domain = await owner.domains.answer(domain.id, ANSWERS, ADMIN)
    assert domain.questionnaire["nature"] == "transactional"
    assert domain.questionnaire["contacts"] == ["ops@shop.example", "運用@例え.example"]
    assert domain.status == "pending"
    owner.clock.advance(1000)
    domain = await owner.domains.approve(domain.id, ADMIN)
    assert (domain.status, domain.approval, domain.reason) == ("verified", "approved", "")
    assert (domain.approved_by, domain.approved_at) == (ADMIN.name, owner.clock.now())
    assert await owner.domains.by_id(domain.id) == domain
    assert await owner.told() == ["VERIFIED"]
    actions = [(entry.action, entry.actor) for entry in await list_entries(store, owner.account_id)]
    assert actions[:3] == [
        ("domain.verified", ADMIN.name),
        ("domain.approve", ADMIN.name),
        ("domain.answer", ADMIN.name),
    ]


async def test_an_approval_before_the_records(owner: Owner) -> None:
    domain = await owner.add(approval=True)
    domain = await owner.domains.approve(domain.id, ADMIN)
    assert (domain.status, domain.reason) == ("pending", "not_checked")
    await owner.publish(domain)
    assert (await owner.domains.verify(domain.id)).status == "verified"


async def test_a_refusal_and_another_try(owner: Owner) -> None:
    domain = await owner.verified(approval=True)
    with pytest.raises(DomainsError, match="a refusal needs a reason"):
        await owner.domains.refuse(domain.id, " ", ADMIN)
    domain = await owner.domains.refuse(domain.id, "no website there", ADMIN)
    assert (domain.status, domain.approval, domain.reason) == ("failed", "refused", "approval_refused")
    assert domain.approval_reason == "no website there"
    assert (await owner.domains.verify(domain.id)).status == "failed"
    assert await owner.events() == [
        ("FAILED", {"domain": "shop.example", "reason": "approval_refused", "text": "no website there"})
    ]
    domain = await owner.domains.answer(domain.id, ANSWERS)
    assert (domain.status, domain.approval, domain.reason) == ("pending", "pending", "approval_pending")
    assert (await owner.domains.approve(domain.id, ADMIN)).status == "verified"


@pytest.mark.parametrize("options", [{}, {"approval": True}, {"vouched": True}])
async def test_a_refusal_stops_a_domain_in_use(owner: Owner, options: dict[str, bool]) -> None:
    domain = await owner.verified(**options)
    if options.get("approval"):
        domain = await owner.domains.approve(domain.id, ADMIN)
    assert domain.usable
    domain = await owner.domains.refuse(domain.id, "complaints", ADMIN)
    assert (domain.status, domain.reason) == ("suspended", "approval_refused")
    assert (await owner.domains.verify(domain.id)).status == "suspended"
    domain = await owner.domains.approve(domain.id, ADMIN)
    assert domain.status == "verified"
    assert await owner.told() == ["VERIFIED", "SUSPENDED", "RESUMED"]


async def test_a_domain_of_a_configuration_stays(owner: Owner, store: Store) -> None:
    domain = await owner.add()
    values = {
        "id": "c",
        "account_id": owner.account_id,
        "project_id": 1,
        "domain_id": domain.id,
        "name": "c",
        "description": "",
        "attachments": False,
        "max_recipients": 50,
        "allowed_subnets": "[]",
        "created_at": 0,
        "updated_at": 0,
    }
    async with store.write() as connection:
        await connection.execute(insert(smtp_configuration).values(values))
    with pytest.raises(DomainInUse, match=r"shop\.example is used"):
        await owner.domains.remove(domain.id)
    assert len(await owner.domains.keys(domain)) == 2


BAD: list[tuple[str, Any]] = [
    ("nature", "spam"),
    ("nature", 1),
    ("website", "shop.example"),
    ("website", "ftp://shop.example/"),
    ("website", "https://localhost/"),
    ("website", "https://[::1/"),
    ("website", "https://shop.example/a b"),
    ("website", "https://shop.example/" + "x" * 2000),
    ("usage", "  "),
    ("usage", "x" * 4001),
    ("usage", "a\0b"),
    ("usage", None),
    ("cleaning", "yes"),
    ("contacts", []),
    ("contacts", ["a@shop.example"] * 5),
    ("contacts", "nobody"),
    ("contacts", [1]),
    ("contacts", ["\ud800@shop.example"]),
    ("contacts", {"a@shop.example": 1}),
    ("reply_to", False),
    ("consent", 1),
    ("more", "x"),
]


@pytest.mark.parametrize(("question", "answer"), BAD)
def test_answers_that_cannot_be_taken(question: str, answer: Any) -> None:
    with pytest.raises(BadAnswer) as refused:
        validate({**ANSWERS, question: answer})
    assert refused.value.question == question
    assert refused.value.text("en") != refused.value.text("ja")
    assert refused.value.template in TEXTS.japanese


@pytest.mark.parametrize("question", [question.id for question in QUESTIONS if not question.optional])
def test_every_question_wants_an_answer(question: str) -> None:
    with pytest.raises(BadAnswer, match="an answer is missing"):
        validate({name: value for name, value in ANSWERS.items() if name != question})


def test_the_support_case_around_it_need_not_be_answered() -> None:
    for nothing in (None, "", []):
        assert validate({**ANSWERS, "category": nothing, "watch_list": nothing}) == validate(ANSWERS)
    case = {"category": "Event Notifications", "watch_list": "a@x.example, b@x.example"}
    kept = validate(ANSWERS | case)
    assert (kept["category"], kept["watch_list"]) == ("Event Notifications", ["a@x.example", "b@x.example"])
    for wrong in (
        {"category": 7},
        {"watch_list": "nobody"},
        {"watch_list": [f"w{n}@x.example" for n in range(21)]},
    ):
        with pytest.raises(BadAnswer):
            validate(ANSWERS | wrong)


def test_the_questions_are_asked_in_both_languages() -> None:
    assert len({question.part[0] for question in QUESTIONS if not question.optional}) == 8
    assert all(question.text("en") and question.text("ja") != question.text("en") for question in QUESTIONS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50), lambda inner: st.lists(inner, max_size=5)
)


@given(st.sampled_from([question.id for question in QUESTIONS]), JSON)
def test_no_answer_breaks_anything(question: str, answer: Any) -> None:
    try:
        kept = validate({**ANSWERS, question: answer})
    except BadAnswer:
        return
    assert validate(kept) == kept


async def test_a_refusal_ends_the_vouching(owner: Owner) -> None:
    domain = await owner.add(vouched=True)
    assert domain.status == "verified"
    domain = await owner.domains.refuse(domain.id, "abused", ADMIN)
    assert (domain.status, domain.vouched) == ("suspended", False)
    # Its owner may ask again, but not let itself in.
    domain = await owner.domains.answer(domain.id, ANSWERS, ADMIN)
    assert (domain.status, domain.approval) == ("suspended", "pending")
    await owner.publish(domain)
    assert (await owner.domains.verify(domain.id)).status == "suspended"
    assert (await owner.domains.approve(domain.id, ADMIN)).status == "verified"
