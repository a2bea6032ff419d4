"""Weights of backbones: where they come from, and whether a file holds just them."""
