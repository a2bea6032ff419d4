"""What frozen layers give, computed once: features, the store that keeps them, its locks."""
