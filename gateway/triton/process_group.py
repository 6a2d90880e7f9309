"""A child process, with everything it starts, that never outlives this process.

PR_SET_PDEATHSIG would need a preexec_fn, which can deadlock in a threaded process, and it fires
when the *thread* that made the child ends. Here a small launcher forks a watcher into the new
group, then becomes the command by exec. The watcher reads a pipe whose other end only this process
holds, so the kernel tells it of our end, kill -9 included. While it lives, the group's number
cannot be reused.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

KILL_TIMEOUT_S = 5.0
POLL_S = 0.02

_LAUNCHER = """
import os, signal, sys
parent, niceness = int(sys.argv[1]), int(sys.argv[2])
if os.fork() == 0:
    os.read(parent, 1)
    os.killpg(0, signal.SIGKILL)
os.close(parent)
os.nice(max(0, niceness - os.nice(0)))
if niceness:
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(niceness))
    except OSError:
        pass
os.execv(sys.argv[3], sys.argv[3:])
"""


class ProcessGroup:
    """A running command and its descendants, in a session of their own; call `kill` in the end."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        python: Path,
        environment: Mapping[str, str],
        log_file: Path,
        niceness: int = 0,
    ) -> None:
        """Start `command`; `python` runs the launcher, and all output is appended to `log_file`.

        `niceness`: at least so nice the group becomes. Where Linux shares processors by sessions
        (sched(7), autogroups; not in containers) the session that it is becomes as nice, since
        among processes of several sessions their own niceness counts for nothing.
        """
        log_file.parent.mkdir(parents=True, exist_ok=True)
        read_end, self._write_end = os.pipe()
        try:
            with log_file.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    [
                        str(python),
                        "-I",
                        "-S",
                        "-c",
                        _LAUNCHER,
                        str(read_end),
                        str(niceness),
                        *command,
                    ],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(read_end,),
                    start_new_session=True,
                )
        except OSError:
            os.close(self._write_end)
            raise
        finally:
            os.close(read_end)
        self._killed = False

    @property
    def pid(self) -> int:
        """The command's process id, which is the group's number too."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The command's, as in subprocess: None while it runs, negative for a signal."""
        return self._process.poll()

    def terminate(self, timeout_s: float) -> None:
        """Send SIGTERM to the command alone and wait for it to end, or for the time to pass."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)

    def kill(self) -> None:
        """Kill the whole group and wait until it is gone; does nothing the second time."""
        if self._killed:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._write_end)
        self._killed = True
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while group_members(self.pid) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        with suppress(ChildProcessError):  # where we are process 1, orphans become our zombies
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass


def group_members(group: int, *, among: Iterable[int] | None = None) -> list[int]:
    """Return the ids of the running processes in a process group, zombies excluded.

    Args:
        group: its id.
        among: only these are looked at; None: all.
    """
    return [pid for pid in (all_processes() if among is None else among) if _is_in(group, pid)]


def all_processes() -> set[int]:
    """Ids of all on this machine, zombies too; none where there is no `/proc`."""
    with suppress(OSError):
        return {int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()}
    return set()


def _is_in(group: int, pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    state, _, its_group = stat.rpartition(b")")[2].split()[:3]
    return int(its_group) == group and state != b"Z"
