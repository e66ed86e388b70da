"""What must hold where data enters (raw tables) and where it leaves (planned operations): suites, frames, verdicts."""
