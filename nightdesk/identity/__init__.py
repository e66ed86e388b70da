"""Who is who across sources: pairs weighed with Splink, decisions of people, and the step of the night that does it."""
