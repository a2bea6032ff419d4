"""A worker: from one candidate to its numbers, in a process of its own."""
