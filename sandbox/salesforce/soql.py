"""SOQL, as much of it as integrations use: SELECT fields FROM object WHERE ... ORDER BY ... LIMIT n."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce import ids
from sandbox.salesforce.errors import SalesforceError

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<word>[A-Za-z_][\w.]*)|(?P<date>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d))?)
    |(?P<number>-?\d+(?:\.\d+)?)|(?P<mark><=|>=|!=|<>|[=<>(),]))""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
Record = Mapping[str, Any]
Test = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. `fields` is empty for `COUNT()`; `ids` are those a condition on Id alone names, None if any."""

    object_type: str
    fields: tuple[str, ...]
    test: Test
    used: tuple[str, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int | None
    ids: tuple[str, ...] | None


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        SalesforceError: MALFORMED_QUERY.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split(text))
        self._at = 0
        self._used: list[str] = []
        self._ids: tuple[str, ...] | None = None

    @staticmethod
    def _split(text: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        position, text = 0, text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise _malformed(f"unexpected token: '{text[position : position + 20].strip()}'")
            found.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        return found

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
        fields: list[str] = []
        if self._peek() == "COUNT":
            self._next()
            self._next(value="(")
            self._next(value=")")
        else:
            fields.append(self._next("word"))
            while self._takes(","):
                fields.append(self._next("word"))
        self._next("word", "FROM")
        object_type = self._next("word")
        test: Test = self._or() if self._takes("WHERE") else lambda _: True
        order: list[tuple[str, bool]] = []
        if self._takes("ORDER"):
            self._next("word", "BY")
            order.append(self._ordered())
            while self._takes(","):
                order.append(self._ordered())
        limit = int(self._next("number")) if self._takes("LIMIT") else None
        if self._at < len(self._tokens):
            raise _malformed(f"unexpected token: '{self._tokens[self._at][1]}'")
        used = (*fields, *self._used, *(name for name, _ in order))
        return Query(object_type, tuple(fields), test, used, tuple(order), limit, self._ids)

    def _ordered(self) -> tuple[str, bool]:
        name = self._next("word")
        descending = self._takes("DESC")
        if not descending:
            self._takes("ASC")
        if self._takes("NULLS") and not (self._takes("FIRST") or self._takes("LAST")):
            raise _malformed("unexpected token after NULLS")
        return name, descending

    def _or(self) -> Test:
        tests = [self._and()]
        while self._takes("OR"):
            tests.append(self._and())
            self._ids = None
        return tests[0] if len(tests) == 1 else lambda record: any(test(record) for test in tests)

    def _and(self) -> Test:
        tests = [self._one()]
        while self._takes("AND"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda record: all(test(record) for test in tests)

    def _one(self) -> Test:
        if self._takes("("):
            inside = self._or()
            self._next(value=")")
            return inside
        if self._takes("NOT"):
            denied = self._one()
            self._ids = None
            return lambda record: not denied(record)
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
            if name == "Id" and not negated:
                self._ids = tuple(str(one) for one in wanted)
            return _among(name, wanted, negated=negated)
        if self._takes("LIKE"):
            text = str(self._literal())
            pattern = re.escape(text).replace("%", ".*").replace("_", ".")
            like = re.compile(pattern, re.IGNORECASE | re.DOTALL)
            return lambda record: like.fullmatch(str(record.get(name) or "")) is not None
        operator = self._next("mark")
        value = self._literal()
        if name == "Id" and operator == "=":
            self._ids = (str(value),)
        return _compared(name, operator, value)

    def _literal(self) -> Any:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "<EOF>")
        self._at += 1
        if kind == "text":
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text[1:-1])
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "date":
            return text.replace("Z", ".000+0000") if text.endswith("Z") and "." not in text else text
        if kind == "word" and text.lower() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text.lower()]
        raise _malformed(f"unexpected token: '{text}'")


def _key(value: Any) -> Any:
    """Text compares without case; ids do not, and those of 15 characters compare as their long form."""
    if not isinstance(value, str):
        return value
    return ids.long(value) if ids.is_id(value) else value.lower()


def _among(name: str, wanted: list[Any], *, negated: bool) -> Test:
    keys = {_key(one) for one in wanted}
    return lambda record: (_key(record.get(name)) in keys) != negated


def _compared(name: str, operator: str, value: Any) -> Test:
    if operator in ("=", "!=", "<>"):
        return _among(name, [value], negated=operator != "=")

    def test(record: Record) -> bool:
        found = record.get(name)
        if found is None or value is None:
            return False
        left, right = _key(found), _key(value)
        match operator:
            case "<":
                return bool(left < right)
            case "<=":
                return bool(left <= right)
            case ">":
                return bool(left > right)
            case _:
                return bool(left >= right)

    return test


def _malformed(message: str) -> SalesforceError:
    return SalesforceError("MALFORMED_QUERY", message)
