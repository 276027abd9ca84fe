import pytest

from ekiden.core.clock import MINUTE
from ekiden.core.diagnosis import Diagnosis, Verdict
from ekiden.core.states import WAITING, Cause, State
from ekiden.core.submission import Notify
from support.manual_clock import ManualClock


def test_every_state_is_waiting_final_or_neither():
    neither = {s for s in State if not s.final and not s.waiting}
    assert neither == {State.HELD, State.SENDING}
    assert all(not s.final for s in WAITING)


@pytest.mark.parametrize(
    ("notify", "failure", "delay", "success"),
    [
        (Notify.NONE_GIVEN, True, False, False),
        (Notify.NEVER, False, False, False),
        (Notify.FAILURE, True, False, False),
        (Notify.SUCCESS | Notify.DELAY, False, True, True),
    ],
)
def test_notify(notify, failure, delay, success):
    assert (notify.on_failure, notify.on_delay, notify.on_success) == (failure, delay, success)


def test_verdict():
    assert Verdict(State.DELIVERED, Diagnosis.NONE, 250, "2.0.0", "ok").delivered
    deferred = Verdict(State.DEFERRED, Diagnosis.RATE_IP, 451, "4.7.1", "later")
    assert (deferred.final, deferred.cause) == (False, Cause.RATE)


def test_manual_clock_moves_forward_only():
    clock = ManualClock(0)
    clock.advance(MINUTE)
    assert (clock.now(), clock.monotonic()) == (60_000, 60.0)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
