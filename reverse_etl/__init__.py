"""The room that writes back: plan, decide, approve, apply, verify, roll back, audit, and tell why."""
