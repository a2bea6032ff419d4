"""The search: asks for candidates and tells what became of them. It never imports Keras."""
