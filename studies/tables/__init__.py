"""Tables of trials and of final models, in every notation."""
