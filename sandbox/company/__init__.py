"""The generator of the sample company: fills the sandbox CRM, keeps the truth behind it apart."""

from __future__ import annotations

from sandbox.company.generate import GeneratedCompany, generate
from sandbox.company.nextday import change
from sandbox.company.truth import Truth
from sandbox.company.writer import write

__all__ = ["GeneratedCompany", "Truth", "change", "generate", "write"]
