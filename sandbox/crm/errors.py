"""The one way the sandbox CRM refuses a request, in HubSpot's error shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer that is not a success.

    Args:
        status: HTTP status.
        category: HubSpot's error category (VALIDATION_ERROR, CONFLICT, OBJECT_NOT_FOUND, ...).
        message: What HubSpot says to a person.
        errors: Details, each with `message` and optionally `code`, `in`, `context`.
        context: Values by name, each a list of strings.
    """

    def __init__(
        self,
        status: int,
        category: str,
        message: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        context: Mapping[str, list[str]] | None = None,
        sub_category: str | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        self.category = category
        self.message = message
        self.errors = errors or []
        self.context = dict(context or {})
        self.sub_category = sub_category
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        super().__init__(message)

    def detail(self) -> dict[str, Any]:
        """The error as one entry of a multi-status answer's `errors`."""
        found: dict[str, Any] = {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": self.context,
        }
        if self.sub_category:
            found["subCategory"] = self.sub_category
        if self.errors:
            found["errors"] = self.errors
        return found

    def body(self, correlation_id: str) -> dict[str, Any]:
        """The error as a whole answer."""
        found: dict[str, Any] = {"status": "error", "message": self.message, "correlationId": correlation_id}
        if self.category:
            found["category"] = self.category
        if self.sub_category:
            found["subCategory"] = self.sub_category
        if self.context:
            found["context"] = self.context
        if self.errors:
            found["errors"] = self.errors
        return found | self.extra


def invalid(message: str, **kwargs: Any) -> ApiError:
    """400: the request is understood and refused as a whole."""
    return ApiError(400, "VALIDATION_ERROR", message, **kwargs)


def not_found(message: str = "resource not found", **kwargs: Any) -> ApiError:
    """404: no such record, property, pipeline or address."""
    return ApiError(404, "OBJECT_NOT_FOUND", message, **kwargs)
