"""After the search: the final training of chosen models, tested once, used and exported."""
