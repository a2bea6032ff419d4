"""The caller's verbosity of Optuna."""

import optuna

from studies.quiet import quiet_optuna


def test_two_at_once_leave_the_verbosity_as_it_was():
    before = optuna.logging.get_verbosity()
    first, second = quiet_optuna(), quiet_optuna()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    second.__exit__(None, None, None)
    assert optuna.logging.get_verbosity() == before
