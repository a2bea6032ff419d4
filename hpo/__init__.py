"""The search: configuration, space, workers, evaluation and the loop that asks and tells."""
