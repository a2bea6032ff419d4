"""What is private in Ray: used here alone, and missed first by this module's test."""


def be_quiet() -> None:
    """Keep what a cluster's nodes have to say of lost workers off this terminal: the search says it in its own words.

    `log_to_driver=False` keeps off what workers print, not that.
    """
    from ray._private import worker

    worker._worker_logs_enabled = False
