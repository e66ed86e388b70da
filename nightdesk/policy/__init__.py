"""Policy: the YAML a RevOps lead edits, validated, hashed, and laid out as tables for dbt."""

from nightdesk.policy.load import Policy, load

__all__ = ["Policy", "load"]
