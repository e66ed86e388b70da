"""Operations of the research family."""
