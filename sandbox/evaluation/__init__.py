"""The evaluation: how good an agent is, measured against the sample company's truth. The only room that opens it."""

from __future__ import annotations
