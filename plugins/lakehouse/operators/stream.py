"""Starting, stopping and rolling back the stream."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings
from flink.submit import EXIT_ID_USED, EXIT_REFUSED
from lakehouse import control
from lakehouse.client import Client, client
from lakehouse.hooks.flink import FlinkHook, Job
from lakehouse.progress import COMMITTED, FAILED
from lakehouse.triggers.stream import STOPPED, CommittedTrigger, StoppedTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

IDS_MAX = 10
"""Ids a task has for its job: one, and another for each that has ended."""
CHECKPOINTS_AWAITED = 6
"""A job that commits seldom is given as many checkpoints' time as the watch gives it."""
CANCEL_SECONDS = 120
POLL_SECONDS = 1.0
SUBMITTED, REASON, COMMITTED_AS = "submitted", "reason", "committed"
"""Keys of what a submission tells the tasks after it: failed or not its job's id, failed why, and else as what it has
committed: {"version": its name, "restored": number of the checkpoint it went on from or null}."""


class ClientError(LakeError):
    """A client of the stack's that failed."""


class LakeCommandOperator(BaseOperator):
    """Runs one of the stack's clients or one-time services, such as `setup`."""

    template_fields: Sequence[str] = ("arguments",)

    def __init__(self, *, arguments: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments

    @cached_property
    def client(self) -> Client:
        """How it is run."""
        return client(Settings.of_process())

    def execute(self, context: Context) -> None:
        """Run it to its end."""
        ended = self.client.run(list(self.arguments), context)
        if ended.code:
            raise ClientError(f"{self.arguments[0]} ended with {ended.code}: {ended.said}")

    def on_kill(self) -> None:
        """End it with the task."""
        self.client.kill()


class SubmitStreamOperator(BaseOperator):
    """Submits the stream and waits until its first rows are in the tables.

    A retry finds the job of the try before it and adopts it. Returns the job's id.
    """

    template_fields: Sequence[str] = ("version", "source", "savepoint")

    def __init__(
        self,
        *,
        version: str = "",
        source: str = "",
        savepoint: str = "",
        remember: bool = True,
        wait: timedelta = timedelta(minutes=5),
        conn_id: str = "lake_flink",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.version = version
        """Name of a stored version; empty: the job of the folder `source`."""
        self.source = source
        """Empty: the deployment's own."""
        self.savepoint = savepoint
        """Empty: the newest checkpoint or savepoint that holds all that is committed."""
        self.remember = remember
        """Whether the version that has committed is the one that later starts go on with."""
        self.wait = wait
        self.conn_id = conn_id

    @cached_property
    def hook(self) -> FlinkHook:
        """Flink."""
        return FlinkHook(self.conn_id)

    @cached_property
    def client(self) -> Client:
        """How the submission is run."""
        return client(Settings.of_process())

    def execute(self, context: Context) -> None:
        """Submit, or adopt the job of an earlier try, and wait."""
        control.want(control.RUNNING)
        self._defer(self._submitted(context, self._arguments()))

    def resume(self, context: Context, event: dict[str, Any]) -> str:
        """Judge what became of the job."""
        job_id = str(event["job_id"])
        if event["state"] != COMMITTED:
            self._give_up(context, f"job {job_id} has not committed ({event['state']}): {event['reason']}")
        self.log.info("Job %s has committed: %s", job_id, event["reason"])
        version, restored = self.hook.version(job_id), self.hook.checkpoints(job_id).restored
        context["ti"].xcom_push(COMMITTED_AS, {"version": version, "restored": restored})
        if self.remember:
            control.remember(version)
        return job_id

    def on_kill(self) -> None:
        """End the submission with the task."""
        self.client.kill()

    def _arguments(self) -> list[str]:
        return _options({"--version": self.version, "--source": self.source, "--savepoint": self.savepoint})

    def _submitted(self, context: Context, arguments: list[str]) -> str:
        for job_id in self._ids(context):
            job = self.hook.job(job_id)
            if job and not job.live:
                continue
            context["ti"].xcom_push(SUBMITTED, job_id)
            if job or self._submit(context, job_id, arguments):
                return job_id
        raise AirflowFailException(f"{IDS_MAX} jobs of this run have ended already; start a new run")

    def _ids(self, context: Context) -> list[str]:
        run = context["dag_run"]
        return [control.derived_id(run.dag_id, run.run_id, self.task_id, number) for number in range(IDS_MAX)]

    def _submit(self, context: Context, job_id: str, arguments: list[str]) -> bool:
        """Whether it is submitted; if not, the cluster wants another id."""
        ended = self.client.run(["submit", "--job-id", job_id, *arguments], context)
        if ended.code and (job := self.hook.job(job_id)) and job.live:
            # The client of an earlier try, whose task was killed, came first.
            return True
        if ended.code == EXIT_REFUSED:
            self._refused(context, ended.said)
        if ended.code not in (0, EXIT_ID_USED):
            self._not_submitted(context, ended.said)
        return ended.code == 0

    def _refused(self, context: Context, said: str) -> None:
        self._give_up(context, said)

    def _not_submitted(self, context: Context, said: str) -> NoReturn:
        context["ti"].xcom_push(REASON, said)
        raise ClientError(f"The stream was not submitted: {said}")

    def _give_up(self, context: Context, reason: str) -> NoReturn:
        context["ti"].xcom_push(REASON, reason)
        raise AirflowFailException(reason)

    def _defer(self, job_id: str) -> None:
        interval = timedelta(seconds=Settings.of_process().checkpoint_interval_seconds)
        wait = max(self.wait, CHECKPOINTS_AWAITED * interval)
        self.defer(
            trigger=CommittedTrigger(job_id, time.time() + wait.total_seconds(), self.conn_id),
            method_name=self.resume.__name__,
            timeout=wait + timedelta(minutes=1),
        )


class StopStreamOperator(BaseOperator):
    """Stops the stream with a savepoint; nothing to do when it does not run. Returns the savepoint's path or ""."""

    def __init__(
        self,
        *,
        for_good: bool = True,
        wait: timedelta = timedelta(minutes=5),
        conn_id: str = "lake_flink",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.for_good = for_good
        """Whether the stream is wanted stopped from now on, and not only for a moment."""
        self.wait = wait
        self.conn_id = conn_id

    @cached_property
    def hook(self) -> FlinkHook:
        """Flink."""
        return FlinkHook(self.conn_id)

    def execute(self, context: Context) -> str:
        """Ask for the savepoint and wait for it."""
        running = self.hook.live()
        if len(running) > 1:
            raise AirflowFailException(
                f"Jobs {' and '.join(job.id for job in running)} both write the tables: cancel all but the oldest in "
                f"Flink at once, then ./lake audit"
            )
        if self.for_good:
            control.want(control.STOPPED)
        for job in running:
            self._stop(context, job)
        self.log.info("The stream does not run: nothing to stop")
        return self._left_behind()

    def resume(self, context: Context, event: dict[str, Any]) -> str:  # noqa: ARG002
        """Judge how it ended."""
        if event["state"] != STOPPED:
            if self.hook.live():
                self._runs_on()
            elif savepoint := self._left_behind():
                # Asked twice, by a try whose answer was lost: the job ended well for the first.
                return savepoint
            raise LakeError(
                f"job {event['job_id']} has not ended with a savepoint ({event['state']}): {event['reason']}"
            )
        self.log.info("Job %s ended with savepoint %s", event["job_id"], event["savepoint"])
        return str(event["savepoint"])

    def _runs_on(self) -> None:
        # Then the watch is to look after it.
        if self.for_good:
            control.want(control.RUNNING)

    def _left_behind(self) -> str:
        """The savepoint of the job that ended last, if it ended with one: of a try before this one."""
        ended = next(iter(self.hook.named()), None)
        return self.hook.checkpoints(ended.id).savepoint if ended and ended.state == "FINISHED" else ""

    def _stop(self, context: Context, job: Job) -> None:
        run = context["dag_run"]
        operation_id = control.derived_id(run.dag_id, run.run_id, self.task_id, context["ti"].try_number)
        folder = f"{Settings.of_process().flink_savepoint_storage}/{job.id}"
        try:
            self.hook.stop(job.id, folder, operation_id)
        except LakeError:
            self._runs_on()
            raise
        self.defer(
            trigger=StoppedTrigger(job.id, operation_id, time.time() + self.wait.total_seconds(), self.conn_id),
            method_name=self.resume.__name__,
            timeout=self.wait + timedelta(minutes=1),
        )


class RollBackStreamOperator(SubmitStreamOperator):
    """Puts the version that ran before in the place of one that failed, then fails itself to say so.

    It goes on from the savepoint, unless the failed job has committed: then from that job's own newest checkpoint,
    which alone knows which rows are in the tables, or not at all if the old version cannot read its state.
    """

    def __init__(self, *, before: str, stop: str, submit: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.before, self.stop, self.submit = before, stop, submit
        """Ids of the tasks that looked at the old version, stopped it and submitted the new one."""

    def execute(self, context: Context) -> None:
        """Cancel what was submitted, submit what ran before, and wait."""
        before = self._told(context, self.before)
        if not before:
            # A run is what its last task is: skipped, this one would call the upgrade a success.
            raise AirflowFailException(f"The upgrade did not begin, and nothing was touched: see {self.before}")
        running = self.hook.live()
        if [job.id for job in running] == [before["job_id"]]:
            raise AirflowFailException(f"The upgrade failed, and the old version still runs as job {before['job_id']}")
        own = self._ids(context)
        for job in running:
            if job.id not in own:
                self._cancel(job)
        control.want(control.RUNNING)
        self._defer(self._submitted(context, self._backwards(context, str(before["version"]))))

    def resume(self, context: Context, event: dict[str, Any]) -> str:
        """Say that it was rolled back, or why it could not be."""
        reason = self._told(context, self.submit, REASON) or "see the task that failed"
        job_id = event["job_id"]
        if event["state"] == FAILED:
            known = self._clear_away(str(job_id))
            # From the savepoint the old version can go on: if it has not, that may pass, and the watch tries again.
            if known and self._told(context, self.submit):
                control.want(control.STOPPED)
                raise AirflowFailException(
                    f"The upgrade failed ({reason}) and could not be rolled back: {event['reason']}. The stream is "
                    f"stopped; nothing is lost or doubled: the tables hold what is committed. Correct the new version "
                    f"and submit it with stream_start and its param source"
                )
            raise AirflowFailException(
                f"The upgrade failed ({reason}), and the old version has not come up: {event['reason']}. Nothing is "
                f"lost or doubled: the tables hold what is committed. stream_watch has it started again"
            )
        unseen = "" if event["state"] == COMMITTED else f", not seen to commit yet: {event['reason']}"
        raise AirflowFailException(
            f"The upgrade was rolled back: the old version runs as job {job_id}{unseen}. Why: {reason}"
        )

    def _refused(self, context: Context, said: str) -> None:
        if self.hook.live():
            # A submission that outlived its task came up meanwhile: the next try cancels it first.
            self._not_submitted(context, said)
        self._give_up(context, said)

    def _backwards(self, context: Context, version: str) -> list[str]:
        return _options(
            {
                "--version": version,
                "--savepoint": self._told(context, self.stop),
                "--instead-of": self._told(context, self.submit, SUBMITTED),
            }
        )

    def _clear_away(self, job_id: str) -> bool:
        """Whether Flink knows the job; one that still tries is ended."""
        job = self.hook.job(job_id)
        if job and job.live:
            self._cancel(job)
        return job is not None

    def _cancel(self, job: Job) -> None:
        self.log.info("Cancelling job %s", job.id)
        self.hook.cancel(job.id)
        deadline = time.monotonic() + CANCEL_SECONDS
        while (found := self.hook.job(job.id)) and found.live:
            if time.monotonic() > deadline:
                raise NotReadyError(f"job {job.id} is {found.state} {CANCEL_SECONDS} s after it was told to end")
            time.sleep(POLL_SECONDS)

    def _told(self, context: Context, task_id: str, key: str = "return_value") -> Any:
        return context["ti"].xcom_pull(task_ids=task_id, key=key)


def _options(given: Mapping[str, str | None]) -> list[str]:
    """Those that are given, as the client's arguments."""
    return [part for name, value in given.items() if value for part in (name, value)]
