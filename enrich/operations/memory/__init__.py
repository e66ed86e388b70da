"""Operations of the memory family."""
