"""Operations of the analysis family."""
