"""What one command printed, when it was run in this process."""

import json
from collections.abc import Callable
from typing import Any


class Said:
    """What one command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def facts(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> dict[str, Any]:
        """The first problem of a refused request."""
        found: dict[str, Any] = self.facts["error"]["facts"]["problems"][0]
        return found


Say = Callable[..., Said]
