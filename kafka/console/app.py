"""Kaskade's list of topics, with the newest records of each, and with nothing that changes Kafka unless asked for.

Kaskade has two programs, one for topics and one for the records of one topic; here the first leads to the second. Its
consumer joins a group by default, which everybody would see come and go: here it is assigned offsets, and joins none.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import kaskade.admin
from confluent_kafka import KafkaError, KafkaException
from kaskade.admin import KaskadeAdmin, ListTopics
from kaskade.commands import CreateTopicCommand
from kaskade.consumer import ListRecords
from kaskade.deserializers import Deserialization, DeserializerPool
from kaskade.models import PartitionSelection, Topic
from kaskade.services import TopicService
from kaskade.utils import run_blocking
from kaskade.widgets import KaskadeHeader
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import DataTable, Footer

from clicklake.errors import NotReadyError
from clicklake.offsets import client_options, retained
from clicklake.settings import Settings

CHANGES = frozenset({"new", "edit", "delete"})
"""Actions of the list of topics that change Kafka."""
INTERNAL = "__"
NEWEST = 10
"""So many records of each partition are shown at first; `n` brings those that came since."""


class Console(KaskadeAdmin):
    """The application."""

    TITLE = "Kafka"
    # Kaskade's own; a path alone would be taken to lie beside this file.
    CSS_PATH = Path(kaskade.admin.__file__).with_name("styles.css")

    def __init__(self, settings: Settings) -> None:
        super().__init__(client_options(settings))
        self._lake = settings

    def compose(self) -> ComposeResult:
        """Kaskade's view, with our list."""
        yield KaskadeHeader(self.kafka_config)
        yield Topics(self._lake)
        yield Footer(compact=True)


class Lake(TopicService):
    """What the list of topics asks of Kafka, but for topics of Kafka's own."""

    async def metadata(self) -> dict[str, Topic]:
        """Topics by name; KafkaException if Kafka does not tell."""
        return {name: topic for name, topic in (await super().metadata()).items() if not name.startswith(INTERNAL)}


class ReadOnly(Lake):
    """The same without what changes something: KafkaException for that."""

    def create(self, command: CreateTopicCommand) -> None:
        """Refused."""
        raise _refused(command.name)

    def edit(self, name: str, config: dict[str, str]) -> None:  # noqa: ARG002 - Kaskade calls it
        """Refused."""
        raise _refused(name)

    def add_partitions(self, name: str, partitions: int) -> None:  # noqa: ARG002 - Kaskade calls it
        """Refused."""
        raise _refused(name)

    def delete(self, name: str) -> None:
        """Refused."""
        raise _refused(name)


def _refused(topic: str) -> KafkaException:
    reason = f"the console leaves {topic} as it is; it changes topics with LAKE_KAFKA_CONSOLE_WRITES=yes"
    return KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, reason))


class Topics(ListTopics):
    """The list of topics, from which `r` leads to a topic's records."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "records", "Records", tooltip="Show the topic's newest records."),
    ]

    def __init__(self, settings: Settings) -> None:
        self._lake, self._writes = settings, settings.kafka_console_writes == "yes"
        super().__init__((Lake if self._writes else ReadOnly)(client_options(settings)))

    def on_mount(self) -> None:
        """Besides what Kaskade does."""
        focus_once_loaded(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether the action's key does something now; False also leaves it out of what is shown."""
        if action in CHANGES and not self._writes:
            return False
        if action == "records":
            return self.current_topic is not None
        allowed: bool | None = super().check_action(action, parameters)
        return allowed

    @work(exclusive=True, group="records")
    async def action_records(self) -> None:
        """Show the newest records of the topic under the cursor."""
        if self.current_topic is None:
            return
        topic = self.current_topic.name
        try:
            start = await run_blocking(newest, self._lake, topic)
        except NotReadyError as error:
            self.app.notify(str(error), title="Kafka", severity="error")
            return
        await self.app.push_screen(Records(topic, self._lake, start))


class Records(Screen[None]):
    """The records of one topic."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,backspace", "app.pop_screen", "Topics")]

    def __init__(self, topic: str, settings: Settings, start: tuple[PartitionSelection, ...]) -> None:
        super().__init__(classes="main-view-screen")
        self._topic, self._kafka, self._start = topic, client_options(settings), start

    def compose(self) -> ComposeResult:
        """Kaskade's table of records; keys and values are text, whatever is in them."""
        deserializers = DeserializerPool({}, {}, {}, {})
        yield KaskadeHeader(self._kafka)
        yield Loaded(
            self._topic,
            self._kafka,
            deserializers,
            Deserialization.STRING,
            Deserialization.STRING,
            partitions=self._start,
        )
        yield Footer(compact=True)


class Loaded(ListRecords):
    """Kaskade's table of records."""

    def on_mount(self) -> None:
        """Besides what Kaskade does."""
        focus_once_loaded(self)


def focus_once_loaded(container: Container) -> None:
    """Give the container's table the focus when it has loaded: it lost it when it began, and keys would go nowhere."""
    table = container.query_one(DataTable)

    def loaded(loading: bool) -> None:
        if not loading and container.app.focused is None:
            table.focus()

    container.watch(table, "loading", loaded)


def newest(settings: Settings, topic: str) -> tuple[PartitionSelection, ...]:
    """Where to begin in each partition, so that some records come at once; NotReadyError if Kafka does not tell."""
    held = retained(replace(settings, kafka_topic=topic))
    return tuple(PartitionSelection(number, max(part.first, part.end - NEWEST)) for number, part in held.items())
