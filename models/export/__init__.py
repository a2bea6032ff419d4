"""Trained models as files: Keras' own, and those of other runtimes."""
