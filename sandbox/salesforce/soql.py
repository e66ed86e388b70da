"""SOQL, as much of it as integrations use: SELECT fields FROM object WHERE ... ORDER BY ... LIMIT n OFFSET n.

Fields may go over relationships (`Account.Name`, `Who.Type`). There are no subqueries, and of the aggregates only
`COUNT()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from sandbox.salesforce import ids
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.values import stamp

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<word>[A-Za-z_][\w.]*(?::\d+)?)
    |(?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))|(?P<date>\d{4}-\d\d-\d\d(?![\dT]))
    |(?P<number>-?\d+(?:\.\d+)?)|(?P<mark><=|>=|!=|<>|[=<>(),]))""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_DAYS = re.compile(r"(TODAY|YESTERDAY|TOMORROW|(?:LAST|NEXT)_N_DAYS:\d+)", re.IGNORECASE)
_AGGREGATES = ("COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX")
LIMIT_OF_OFFSET = 2000


class Record(Protocol):
    """What a condition looks at: a record's values by the names a query uses, dots included."""

    def get(self, name: str, /) -> Any: ...


Test = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Literal:
    """A value in a query and how it was written: text, number, date, instant, days, truth or null."""

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Compare:
    """`name operator value`."""

    name: str
    operator: str
    literal: Literal


@dataclass(frozen=True, slots=True)
class Among:
    """`name IN (values)`, or NOT IN."""

    name: str
    literals: tuple[Literal, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """`name LIKE 'pattern'`."""

    name: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Not:
    """Everything but."""

    inside: Node


@dataclass(frozen=True, slots=True)
class Every:
    """All of them."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of them."""

    parts: tuple[Node, ...]


Node = Compare | Among | Like | Not | Every | Some


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `fields` is empty for `COUNT()`."""

    object_type: str
    fields: tuple[str, ...]
    where: Node | None
    used: tuple[str, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int | None
    offset: int

    @property
    def counts(self) -> bool:
        """Whether only a number is asked for."""
        return not self.fields

    def conditions(self) -> Iterator[tuple[str, Literal]]:
        """Every field that is compared, with each value it is compared to."""
        return _conditions(self.where)

    def tester(self, today: date) -> Test:
        """The condition as a function; `today` is what TODAY and its like mean."""
        return _compiled(self.where, today)


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        SalesforceError: MALFORMED_QUERY.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(self._split(text))
        self._at = 0
        self._used: list[str] = []

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str]]:
        position, text = 0, text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise _malformed(f"unexpected token: '{text[position : position + 20].strip()}'")
            yield match.lastgroup, match.group(match.lastgroup)
            position = match.end()

    def _peek(self) -> str:
        return self._tokens[self._at][1].upper() if self._at < len(self._tokens) else ""

    def _next(self, kind: str | None = None, value: str | None = None) -> str:
        if self._at >= len(self._tokens):
            raise _malformed("unexpected token: '<EOF>'")
        got, text = self._tokens[self._at]
        if (kind and got != kind) or (value and text.upper() != value):
            raise _malformed(f"unexpected token: '{text}'")
        self._at += 1
        return text

    def _takes(self, value: str) -> bool:
        if self._peek() == value:
            self._at += 1
            return True
        return False

    def query(self) -> Query:
        self._next("word", "SELECT")
        fields = self._fields()
        self._next("word", "FROM")
        object_type = self._next("word")
        where = self._or() if self._takes("WHERE") else None
        order: list[tuple[str, bool]] = []
        if self._takes("ORDER"):
            self._next("word", "BY")
            order.append(self._ordered())
            while self._takes(","):
                order.append(self._ordered())
        limit = int(self._next("number")) if self._takes("LIMIT") else None
        offset = int(self._next("number")) if self._takes("OFFSET") else 0
        if self._at < len(self._tokens):
            raise _malformed(f"unexpected token: '{self._tokens[self._at][1]}'")
        if offset > LIMIT_OF_OFFSET:
            raise SalesforceError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {LIMIT_OF_OFFSET}")
        used = (*fields, *self._used, *(name for name, _ in order))
        return Query(object_type, tuple(fields), where, used, tuple(order), limit, offset)

    def _fields(self) -> list[str]:
        if self._peek() == "COUNT" and [one for _, one in self._tokens[self._at + 1 : self._at + 3]] == ["(", ")"]:
            self._at += 3
            return []
        fields: list[str] = []
        while True:
            if self._peek() == "(":
                raise _malformed("nested queries are not supported here")
            name = self._next("word")
            if self._peek() == "(":
                said = "aggregate" if name.upper() in _AGGREGATES else "such"
                raise _malformed(f"{said} functions are not supported here: {name}")
            if name in fields:
                raise SalesforceError("INVALID_FIELD", f"duplicate field selected: {name}")
            fields.append(name)
            if not self._takes(","):
                return fields

    def _ordered(self) -> tuple[str, bool]:
        name = self._next("word")
        descending = self._takes("DESC")
        if not descending:
            self._takes("ASC")
        if self._takes("NULLS") and not (self._takes("FIRST") or self._takes("LAST")):
            raise _malformed("unexpected token after NULLS")
        return name, descending

    def _or(self) -> Node:
        first, joined = self._and()
        parts = [first]
        while self._peek() == "OR":
            if joined:
                raise _malformed("unexpected token: OR")  # AND and OR side by side need brackets
            self._at += 1
            part, joined = self._and()
            parts.append(part)
        if joined and len(parts) > 1:
            raise _malformed("unexpected token: AND")
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _and(self) -> tuple[Node, bool]:
        """One condition, or several joined by AND, and whether there were several."""
        parts = [self._one()]
        while self._takes("AND"):
            parts.append(self._one())
        return (parts[0], False) if len(parts) == 1 else (Every(tuple(parts)), True)

    def _one(self) -> Node:
        if self._takes("("):
            inside = self._or()
            self._next(value=")")
            return inside
        if self._takes("NOT"):
            return Not(self._one())
        name = self._next("word")
        self._used.append(name)
        negated = self._takes("NOT")
        if negated or self._peek() == "IN":
            self._next("word", "IN")
            self._next(value="(")
            wanted = [self._literal()]
            while self._takes(","):
                wanted.append(self._literal())
            self._next(value=")")
            return Among(name, tuple(wanted), negated)
        if self._takes("LIKE"):
            return Like(name, str(self._literal().value))
        return Compare(name, self._next("mark"), self._literal())

    def _literal(self) -> Literal:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "<EOF>")
        self._at += 1
        match kind:
            case "text":
                return Literal("text", re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text[1:-1]))
            case "number":
                return Literal("number", float(text) if "." in text else int(text))
            case "date":
                return Literal("date", text)
            case "instant":
                return Literal("instant", _instant(text))
            case "word" if text.lower() in ("true", "false"):
                return Literal("truth", text.lower() == "true")
            case "word" if text.lower() == "null":
                return Literal("null", None)
            case "word" if _DAYS.fullmatch(text):
                return Literal("days", text.upper())
            case _:
                raise _malformed(f"unexpected token: '{text}'")


def _instant(text: str) -> str:
    try:
        return stamp(datetime.fromisoformat(text))
    except ValueError as error:
        raise _malformed(f"unexpected token: '{text}'") from error


# Conditions as functions ----------------------------------------------------------------------------------------------


def _conditions(node: Node | None) -> Iterator[tuple[str, Literal]]:
    match node:
        case Compare():
            yield node.name, node.literal
        case Among():
            yield from ((node.name, one) for one in node.literals)
        case Not():
            yield from _conditions(node.inside)
        case Every() | Some():
            for part in node.parts:
                yield from _conditions(part)
        case _:
            pass


def _compiled(node: Node | None, today: date) -> Test:
    match node:
        case None:
            return lambda _: True
        case Compare():
            return _compared(node, today)
        case Among():
            keys = {_key(one.value) for one in node.literals}
            return lambda record: (_key(record.get(node.name)) in keys) != node.negated
        case Like():
            pattern = re.escape(node.pattern).replace("%", ".*").replace("_", ".")
            like = re.compile(pattern, re.IGNORECASE | re.DOTALL)
            return lambda record: like.fullmatch(str(record.get(node.name) or "")) is not None
        case Not():
            denied = _compiled(node.inside, today)
            return lambda record: not denied(record)
        case Every():
            tests = [_compiled(part, today) for part in node.parts]
            return lambda record: all(test(record) for test in tests)
        case Some():
            tests = [_compiled(part, today) for part in node.parts]
            return lambda record: any(test(record) for test in tests)


def _compared(node: Compare, today: date) -> Test:
    name, operator = node.name, node.operator
    if node.literal.kind == "days":
        return _on_days(node, today)
    if operator in ("=", "!=", "<>"):
        wanted, same = _key(node.literal.value), operator == "="
        return lambda record: (_key(record.get(name)) == wanted) == same
    value = node.literal.value
    right = _key(value)

    def test(record: Record) -> bool:
        found = record.get(name)
        if found is None or value is None:
            return False
        return _holds(_key(found), operator, right)

    return test


def _holds(left: Any, operator: str, right: Any) -> bool:
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def _on_days(node: Compare, today: date) -> Test:
    """TODAY and its like are whole days: after them is after their end."""
    first, last = days(str(node.literal.value), today)

    def test(record: Record) -> bool:
        found = str(record.get(node.name) or "")[:10]
        if not found:
            return False
        inside = first.isoformat() <= found <= last.isoformat()
        match node.operator:
            case "=":
                return inside
            case "!=" | "<>":
                return not inside
            case "<":
                return found < first.isoformat()
            case "<=":
                return found <= last.isoformat()
            case ">":
                return found > last.isoformat()
            case _:
                return found >= first.isoformat()

    return test


def days(text: str, today: date) -> tuple[date, date]:
    """The first and the last day that a date literal means."""
    name, _, number = text.partition(":")
    match name:
        case "TODAY":
            return today, today
        case "YESTERDAY":
            return today - timedelta(days=1), today - timedelta(days=1)
        case "TOMORROW":
            return today + timedelta(days=1), today + timedelta(days=1)
        case "LAST_N_DAYS":
            return today - timedelta(days=int(number)), today
        case _:
            return today + timedelta(days=1), today + timedelta(days=int(number))


def _key(value: Any) -> Any:
    """Text compares without case; ids do not, and those of 15 characters compare as their long form."""
    if not isinstance(value, str):
        return value
    return ids.long(value) if ids.is_id(value) else value.lower()


def _malformed(message: str) -> SalesforceError:
    return SalesforceError("MALFORMED_QUERY", message)
