"""A session's tasks, one at a time, without keeping threads waiting. Knows no Panel.

The server has a few threads for the callbacks of all sessions. If each callback of a session
waited for the one before, a user who drags a slider would soon hold them all. So a callback that
finds another one running leaves its task and returns; the running thread does it next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

Task = Callable[[], None]


class SerialQueue:
    """Tasks of one session, done in order by whichever thread is running.

    `on_error` gets the error of a task that another thread left here.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._lock = threading.Lock()
        self._tasks: dict[Hashable, Task] = {}
        self._busy = False

    def take(self, task: Task, *, key: Hashable = None) -> None:
        """Do a task now, or leave it to the running thread.

        Of several waiting tasks with one key, only the newest counts. If the task fails in this
        thread, its error is raised here after all waiting tasks have been done.
        """
        with self._lock:
            key = task if key is None else key
            self._tasks.pop(key, None)  # the newest goes to the end
            self._tasks[key] = task
            if self._busy:
                return
            self._busy = True
        failed = None
        try:
            while (following := self._next()) is not None:
                try:
                    following()
                except Exception as error:
                    if following is task:
                        failed = error
                    else:
                        self._on_error(error)
        except BaseException:  # the thread is being ended
            self._busy = False
            raise
        if failed is not None:
            raise failed

    def _next(self) -> Task | None:
        with self._lock:
            if not self._tasks:
                self._busy = False  # under the lock, so that no task is left behind
                return None
            return self._tasks.pop(next(iter(self._tasks)))
