"""The telling of a demo: lines with the time, a table at the end, and everything removed whatever happens."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeVar

from tests.lab.lab import Lab, LabError

AnyLab = TypeVar("AnyLab", bound=Lab)


@dataclass
class Story:
    """Tells what happens, and keeps what was seen for the table."""

    start: float = field(default_factory=time.monotonic)
    seen: list[tuple[str, str, bool]] = field(default_factory=list)

    def say(self, text: str) -> None:
        """One line with the time since the start."""
        print(f"{time.monotonic() - self.start:6.1f} s  {text}", flush=True)

    def chapter(self, text: str) -> None:
        """A heading."""
        print(f"\n{text}", flush=True)

    def note(self, what: str, result: str, *, well: bool = True) -> None:
        """A row of the table."""
        self.seen.append((what, result, well))
        self.say(f"{what}: {result}" if well else f"{what}: {result}   <-- NOT AS IT SHOULD BE")

    def check(self, what: str, look: Callable[[], str]) -> None:
        """A row whose result `look` gives; its AssertionError is a row too, and the story goes on."""
        try:
            self.note(what, look())
        except AssertionError as error:
            self.note(what, str(error).splitlines()[0][:100], well=False)

    def table(self) -> bool:
        """Print all rows; whether all is well."""
        width = max(len(what) for what, _, _ in self.seen)
        print("\nWhat was seen")
        for what, result, well in self.seen:
            print(f"  {'ok ' if well else 'NOT'}  {what:<{width}}  {result}")
        failed = sum(not well for _, _, well in self.seen)
        print(f"\n{'All of it as it should be.' if not failed else f'{failed} of it not as it should be.'}", flush=True)
        return not failed


def tell(make: Callable[[], AbstractContextManager[AnyLab]], chapters: Callable[[AnyLab, Story], None]) -> int:
    """Build the lab, tell the story, remove the lab; the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    story = Story()
    try:
        with make() as lab:
            chapters(lab, story)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; all namespaces are removed")
        return 130
    except AssertionError as error:
        story.note("the story", f"broke off: {str(error).splitlines()[0][:200]}", well=False)
    well = story.table()
    print(f"{time.monotonic() - story.start:.0f} s; everything that was made is removed")
    return 0 if well else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
