"""How long a picture takes: `call` by one call of the training backend, `deployed` in a runtime that is deployed."""
