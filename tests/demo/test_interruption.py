"""Ctrl-C: between two steps, at once when pressed again, and never seen as something else."""

from __future__ import annotations

import signal

import pytest

from tactics.demo.interruption import interruptible


def test_while_patient_it_counts_at_the_next_check() -> None:
    """The first time goes unheard until the check; the second time counts where it is."""
    with interruptible() as one:
        one.patient = True
        one.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            one.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def _pressed_within(error: Exception) -> None:
    """Press Ctrl-C where it comes out as another error, as within the database driver."""
    with interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise error from None


def _failed(error: Exception) -> None:
    with interruptible():
        raise error


def test_what_ctrl_c_became_on_its_way_is_ctrl_c_again() -> None:
    """An error after Ctrl-C ends as KeyboardInterrupt, any other as itself; the old handler is back afterwards."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        _pressed_within(IndexError())
    with pytest.raises(IndexError):
        _failed(IndexError())
    assert signal.getsignal(signal.SIGINT) is before
