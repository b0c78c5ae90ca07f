"""Ctrl-C as what it is, whatever it broke: a person stopped the job.

While a session starts, PySpark's own handler is in place: it asks the JVM to cancel what runs, in the midst of another
call, and of that comes an error of Py4J and pages of trace. So the signal itself is noted, by Python, beside any handler.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SIGNALS_NOTED = 4096


@contextmanager
def stopping_is_told() -> Iterator[None]:
    """Raises KeyboardInterrupt in place of any error that comes after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # signals are noted there only
        yield
        return
    noted, note = os.pipe()
    for end in (noted, note):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(note, warn_on_full_buffer=False)
    try:
        yield
    except Exception as error:
        with suppress(BlockingIOError):
            if signal.SIGINT in os.read(noted, _SIGNALS_NOTED):
                raise KeyboardInterrupt from error
        raise
    finally:
        signal.set_wakeup_fd(before)
        os.close(noted)
        os.close(note)
