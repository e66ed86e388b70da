"""The one way this CRM refuses something: an error code, a message, and the fields it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SalesforceError(Exception):
    """A refusal. As an answer of its own it is a list with one error; inside a collection it is that record's error.

    Args:
        code: Salesforce's error code (`INVALID_FIELD`, `STRING_TOO_LONG`, ...).
        message: What Salesforce says to a person.
        fields: API names of the fields concerned.
        status: HTTP status when the error is the whole answer.
        whole: Whether it is a mistake in the request itself, which then fails with everything in it.
    """

    def __init__(
        self, code: str, message: str, fields: Sequence[str] = (), *, status: int = 400, whole: bool = False
    ) -> None:
        self.code, self.message, self.fields, self.status, self.whole = code, message, list(fields), status, whole
        super().__init__(f"{code}: {message}")

    def body(self) -> list[dict[str, Any]]:
        """The error as a whole answer."""
        found: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return [found | ({"fields": self.fields} if self.fields else {})]

    def in_collection(self) -> dict[str, Any]:
        """The error as part of one record's result."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields}

    def in_csv(self) -> str:
        """The error as a Bulk API result file says it."""
        return f"{self.code}:{self.message}:{' '.join(self.fields)} --"


def not_found(message: str = "The requested resource does not exist") -> SalesforceError:
    """404 for an address or record that is not there."""
    return SalesforceError("NOT_FOUND", message, status=404)


def malformed(message: str) -> SalesforceError:
    """400 for a request that cannot be read at all."""
    return SalesforceError("JSON_PARSER_ERROR", message, whole=True)
