"""What a text is searched for: a person's addresses and full names, the same way in SQL and in Python.

An address counts where it stands on its own (not as the end of a longer one), a name where it stands as whole words in
either order. The expressions use only what Python's `re` and DuckDB's RE2 both understand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_BEFORE_ADDRESS = r"(?:^|[^a-z0-9._%+'-])"
_AFTER_ADDRESS = r"(?:$|[^a-z0-9.-]|\.(?:$|[^a-z0-9]))"
_LETTER = r"0-9A-Za-z\x{00C0}-\x{024F}\x{0370}-\x{052F}"  # Latin, Greek and Cyrillic letters, as RE2 writes them


@dataclass(frozen=True)
class Needles:
    """A person's addresses (lower case) and full names."""

    addresses: frozenset[str]
    names: frozenset[str]

    @cached_property
    def _address_pattern(self) -> str | None:
        if not self.addresses:
            return None
        return f"{_BEFORE_ADDRESS}(?:{'|'.join(re.escape(one) for one in sorted(self.addresses))}){_AFTER_ADDRESS}"

    @cached_property
    def _name_pattern(self) -> str | None:
        ways: list[str] = []
        for name in sorted(self.names):
            parts = [re.escape(part) for part in name.split()]
            if len(parts) < 2:
                continue  # one word is no full name
            ways.append(r"\s+".join(parts))
            ways.append(r"\s+".join(parts[1:]) + r"\s*,\s*" + parts[0])
        return f"(?i)(?:^|[^{_LETTER}])(?:{'|'.join(ways)})(?:$|[^{_LETTER}])" if ways else None

    @cached_property
    def _address(self) -> re.Pattern[str] | None:
        return re.compile(self._address_pattern) if self._address_pattern else None

    @cached_property
    def _name(self) -> re.Pattern[str] | None:
        pattern = self._name_pattern
        if pattern is None:
            return None
        return re.compile(re.sub(r"\\x\{([0-9A-F]{4})\}", lambda found: chr(int(found[1], 16)), pattern))

    def has_address(self, text: str) -> bool:
        """Whether one of the addresses stands in the text."""
        return self._address is not None and self._address.search(text.lower()) is not None

    def has_name(self, text: str) -> bool:
        """Whether one of the full names stands in the text."""
        return self._name is not None and self._name.search(text) is not None

    def address_sql(self, expression: str) -> str:
        """A condition in DuckDB SQL: one of the addresses stands in `expression`."""
        return _matches(f"lower({expression})", self._address_pattern)

    def name_sql(self, expression: str) -> str:
        """A condition in DuckDB SQL: one of the full names stands in `expression`."""
        return _matches(expression, self._name_pattern)


def _matches(expression: str, pattern: str | None) -> str:
    if pattern is None:
        return "false"
    quoted = pattern.replace("'", "''")
    return f"coalesce(regexp_matches({expression}, '{quoted}'), false)"
