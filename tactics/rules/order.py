"""An order, read strictly: what it costs is only said of lines that leave no doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tactics.rules.problem import Problem, RuleError, pointer
from tactics.rules.value import is_number, show

_TEXTS = ("item_id", "sku", "batch", "sales_channel")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it sells, of which batch, how many pieces, and the price of one of them."""

    item_id: str | None
    sku: str | None
    categories: frozenset[str]
    batch: str | None
    quantity: int
    price_minor: int

    @property
    def total_minor(self) -> int:
        """What the line costs before discounts."""
        return self.quantity * self.price_minor


def read_lines(order: object) -> tuple[Line, ...]:
    """The lines of an order.

    A line needs `price_minor`, a whole number of at least 0; without `quantity` it has 1 piece. Raises RuleError with
    every problem, its path starting with `/order`.
    """
    if not isinstance(order, Mapping):
        raise RuleError.of("/order", "type", f"an order, an object with `lines`, belongs here, not {show(order)}")
    problems: list[Problem] = []
    _check_text(order, "currency", "/order", problems)
    lines = order.get("lines")
    if not isinstance(lines, (list, tuple)):
        problems.append(Problem("/order/lines", "type", f"a list of lines belongs here, not {show(lines)}"))
        raise RuleError(problems)
    read = [_line(line, pointer("/order/lines", index), problems) for index, line in enumerate(lines)]
    if problems:
        raise RuleError(problems)
    return tuple(line for line in read if line is not None)


def _line(line: object, path: str, problems: list[Problem]) -> Line | None:
    if not isinstance(line, Mapping):
        problems.append(Problem(path, "type", f"a line, an object, belongs here, not {show(line)}"))
        return None
    for name in _TEXTS:
        _check_text(line, name, path, problems)
    category = line.get("category")
    members = [category] if isinstance(category, str) else [] if category is None else category
    if not isinstance(members, (list, tuple)) or not all(isinstance(member, str) for member in members):
        wanted = "text, or a list of texts, belongs here"
        problems.append(Problem(pointer(path, "category"), "type", f"{wanted}, not {show(category)}"))
        members = []
    quantity = 1 if line.get("quantity") is None else _whole(line, "quantity", path, problems)
    price_minor = _whole(line, "price_minor", path, problems)
    item_id, sku, batch = (line.get(name) for name in ("item_id", "sku", "batch"))
    return Line(item_id, sku, frozenset(members), batch, quantity, price_minor)


def _check_text(record: Mapping[str, object], name: str, path: str, problems: list[Problem]) -> None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        problems.append(Problem(pointer(path, name), "type", f"text belongs here, not {show(value)}"))


def _whole(line: Mapping[str, object], name: str, path: str, problems: list[Problem]) -> int:
    value = line.get(name)
    if isinstance(value, int) and is_number(value) and value >= 0:
        return value
    message = f"a whole number of at least 0 belongs here, not {show(value)}"
    problems.append(Problem(pointer(path, name), "type", message))
    return 0
