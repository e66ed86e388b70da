"""Who answers: the offline rules agent, Claude, and recorded answers, behind one protocol."""
