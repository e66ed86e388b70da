"""Operations of the generation family."""
