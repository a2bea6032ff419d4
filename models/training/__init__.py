"""Training: one traced step for a network, many heads at once, and the recipe that both follow."""
