"""Trees of templates as they are told (contract §7, TemplateStructureResponse)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ekiden.content.template_queries import ROOT
from ekiden.dialects.naver.times import nes_date
from ekiden.limits.loop_slices import in_turns

if TYPE_CHECKING:
    from ekiden.content.template_categories import Branch
    from ekiden.content.template_queries import Category, Node

TOP = -1
"""The number of what is above everything."""


def category_shape(found: Category) -> dict[str, Any]:
    """As it is told alone, and in a template."""
    return {"sid": found.id, "parentSid": parent_sid(found.parent_id), "name": found.name}


def parent_sid(parent_id: int) -> int:
    return TOP if parent_id == ROOT else parent_id


async def structure(branches: Iterable[Branch], empty: list[Any] | None) -> list[dict[str, Any]]:
    """``empty``: what a category has in place of a list with nothing in it. In turns: there may be thousands."""
    flat: list[tuple[Node, int]] = []
    waiting = [(branch, -1) for branch in branches]
    waiting.reverse()
    while waiting:
        branch, above = waiting.pop()
        waiting += [(below, len(flat)) for below in reversed(branch.below)]
        flat.append((branch.node, above))
    shapes = await in_turns(lambda item: _shape(item[0], empty), flat)
    top = []
    for (node, above), shape in zip(flat, shapes, strict=True):
        if above < 0:
            top.append(shape)
            continue
        kind = "subCategories" if node.is_category else "templates"
        if shapes[above][kind]:
            shapes[above][kind].append(shape)
        else:
            shapes[above][kind] = [shape]
    return top


def _shape(node: Node, empty: list[Any] | None) -> dict[str, Any]:
    nothing = empty if node.is_category else None
    return {
        "sid": node.id,
        "parentSid": parent_sid(node.parent_id),
        "createDate": nes_date(node.created_at),
        "name": node.name,
        "isCategory": node.is_category,
        "isUse": node.in_use,
        "subCategories": nothing,
        "templates": nothing,
    }
