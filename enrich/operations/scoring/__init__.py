"""Operations of the scoring family."""
