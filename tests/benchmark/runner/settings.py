"""How long it all takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    rounds: int = 15
    turn_seconds: float = 0.3  # of the fastest ONNX Runtime: what the number of runs of a turn is made of
    service_rounds: int = 7
    service_seconds: int = 3  # of each turn

    def runs(self, milliseconds: float) -> int:
        """The runs of each turn, the same for everybody, when one takes so long."""
        return max(10, min(500, round(self.turn_seconds * 1e3 / milliseconds)))


FULL = Settings()
QUICK = Settings(rounds=3, turn_seconds=0.1, service_rounds=2, service_seconds=1)
