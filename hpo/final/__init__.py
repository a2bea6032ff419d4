"""After the search: chosen models trained for good, tested once, used and exported."""
