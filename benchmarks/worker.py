"""A contender in a process of its own: `Worker` is the parent's end, `main` the child's.

A peer may end its process, hang, or change global state, so none runs in ours. The child prepares
once and then runs each time it is asked to, so that contenders can alternate. Both ends speak JSON
lines: the child reads from standard input and answers on a pipe, and what a peer prints goes into a
log.
"""

import contextlib
import functools
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS", "POLARS_MAX_THREADS",
)  # fmt: skip


class WorkerError(Exception):
    """A contender was skipped or failed; `status` says which."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Unsupported(Exception):  # noqa: N818  # no error: a contender has no such feature
    """Raised by a contender that cannot do what is asked; the row is "skipped"."""


class Worker:
    """A child process with one contender; a context manager that ends it."""

    def __init__(self, task: str, contender: str, case: dict[str, Any], threads: int) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        read_end, write_end = os.pipe()
        spec = {"task": task, "contender": contender, "case": case, "threads": threads}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(write_end), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(write_end,),
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))},
            start_new_session=True,
        )
        os.close(write_end)
        self._answers = read_end
        self._buffer = b""
        self.dead = False

    def prepare(self, timeout: float) -> dict[str, Any]:
        """What the preparation took; the child begins by itself."""
        return self._answer(timeout)

    def run(self, number: int, timeout: float) -> dict[str, Any]:
        """Figures of one run; `number` seeds it."""
        with contextlib.suppress(BrokenPipeError):  # it has died: there will be no answer
            self._process.stdin.write(f"{number}\n".encode())
            self._process.stdin.flush()
        return self._answer(timeout)

    def _answer(self, timeout: float) -> dict[str, Any]:
        end = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._answers, 1 << 16) if ready else b""
            if not part:
                self._end(grace=5.0 if ready else 0.0)  # it has closed the pipe: it is ending
                raise WorkerError("failed", self._cause(timed_out=not ready, timeout=timeout))
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\n", 1)
        answer = json.loads(line)
        if "status" in answer:
            self._end()
            raise WorkerError(answer["status"], answer["reason"])
        return answer

    def _cause(self, *, timed_out: bool, timeout: float) -> str:
        if timed_out:
            return f"not done in {timeout:.0f} s"
        code = self._process.returncode
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines() or ["no message"]
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{how}: {lines[-1][-200:]}"

    def _end(self, grace: float = 0.0) -> None:
        self.dead = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)  # for its own exit code
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()
        os.close(self._answers)
        self._process.stdin.close()
        self._log.close()


# ----- The child ----------------------------------------------------------------------------------


def main() -> None:
    """Prepare the contender, then run it once for every line of standard input."""
    sys.modules["worker"] = sys.modules["__main__"]  # one class Unsupported, not two
    answers = os.fdopen(int(sys.argv[1]), "w")
    spec = json.loads(sys.argv[2])
    try:
        task = importlib.import_module(f"contenders.{spec['task']}")
        contender, case = task.CONTENDERS[spec["contender"]], spec["case"]
        run, figures = _measured(lambda: task.prepare(contender, case, spec["threads"]))
    except (ImportError, Unsupported) as error:
        _send(answers, {"status": "skipped", "reason": str(error)})
        return
    prepared = {f"prepare_{key}": value for key, value in figures.items()}
    _send(answers, {"version": contender.version(), **prepared})
    for line in sys.stdin:
        result, figures = _measured(functools.partial(run, int(line)))
        # A contender that times its phases may overrule what was measured from outside.
        figures |= task.finish(result, case)
        del result  # or it would still be there, and counted, in the next run
        _send(answers, figures)


def _measured(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Result of a call, with wall and CPU seconds (all threads, all children) and memory."""
    reset_peak()
    before = resident_bytes("VmRSS")
    cpu, wall = _cpu_seconds(), time.perf_counter()
    result = call()
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    return result, {
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "rss_before_mb": before / 1e6,
        "peak_rss_mb": resident_bytes("VmHWM") / 1e6,
    }


def _cpu_seconds() -> float:
    usages = [resource.getrusage(x) for x in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (the peak) of this process; getrusage's peak would be the parent's."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{field}:")[1].split()[0])


def reset_peak() -> None:
    """Let VmHWM begin anew at what is resident now; without the right to, it is of all before."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _send(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
