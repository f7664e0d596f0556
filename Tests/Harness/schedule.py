"""Work in the order that ends soonest: what takes longest first, two at a time, what only waits beside it."""

import threading
import time
import traceback
from dataclasses import dataclass, field

from outcome import Outcome, say, working

# A machine under emulation keeps about one processor busy.
AT_ONCE = 2
NOT_RUN = "not run, for "


@dataclass
class Job:
    """Something that yields outcomes: a check, a machine with its tests, a build."""

    name: str
    seconds: float  # as far as known
    run: object  # called without arguments, returns a list of outcomes
    after: "list[Job]" = field(default_factory=list)  # what has to be done, and well, before
    waits: bool = False  # it waits for clocks rather than for a processor
    tests: "list[str]" = field(default_factory=list)  # what fails where `after` does; else its own name
    failed: bool = False

    def outcomes(self, tell) -> "list[Outcome]":
        """Runs it; where something goes wrong with the harness itself, that is a failure too."""
        if any(job.failed for job in self.after):
            self.failed = True
            reason = f"{NOT_RUN}{', '.join(job.name for job in self.after if job.failed)} failed"
            return [Outcome(name, False, 0, reason) for name in self.tests or [self.name]]
        began = time.monotonic()
        try:
            with working(self.name):
                found = self.run()
        except Exception:
            found = [Outcome(self.name, False, time.monotonic() - began, traceback.format_exc())]
            tell(found[0].text)
        self.failed = any(not outcome.passed for outcome in found)
        return found


def carry_out(jobs: "list[Job]", tell=say, at_once: int = AT_ONCE) -> "list[Outcome]":
    """Runs all jobs, those first that the most work still depends on or that take longest themselves.

    Jobs announce their own outcomes; `tell` is given what went wrong with the work itself.
    """
    pending = sorted(jobs, key=_urgency(jobs), reverse=True)
    done: "set[int]" = set()
    outcomes: "list[Outcome]" = []
    changed = threading.Condition()

    def take(waits: bool) -> "Job | None":
        with changed:
            while mine := [job for job in pending if job.waits == waits]:
                for job in mine:
                    if all(id(each) in done for each in job.after):
                        pending.remove(job)
                        return job
                changed.wait()
        return None

    def lane(waits: bool) -> None:
        while job := take(waits):
            found = job.outcomes(tell)
            with changed:
                outcomes.extend(found)
                done.add(id(job))
                changed.notify_all()

    lanes = [threading.Thread(target=lane, args=(waits,), daemon=True) for waits in [False] * at_once + [True]]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    if skipped := [outcome for outcome in outcomes if outcome.reason.startswith(NOT_RUN)]:
        tell(f"FAILED           {len(skipped)} tests: {skipped[0].reason}")
    return outcomes


def _urgency(jobs: "list[Job]"):
    """The seconds from a job's start to the end of all that waits for it."""
    followers: "dict[int, list[Job]]" = {}
    for job in jobs:
        for each in job.after:
            followers.setdefault(id(each), []).append(job)

    def urgency(job: Job) -> float:
        return job.seconds + max((urgency(each) for each in followers.get(id(job), [])), default=0)

    return urgency
