"""Networks of our own, beside those of keras.applications."""
