"""What is measured: the rows of both tables, and who takes part. To add a row or a contender, add it here."""

from __future__ import annotations

from dataclasses import dataclass

# Over all realms, each of another group.
SCATTERED = (
    "animal/dog/chihuahua",
    "animal/bird/king_penguin",
    "animal/insect/ladybug",
    "food/fruit_or_vegetable/lemon",
    "food/dish/pizza",
    "outdoors/road_vehicle/school_bus",
    "outdoors/building/beacon",
    "object/kitchenware/teapot",
    "object/household_object/candle",
    "object/sport_or_music/basketball",
)


@dataclass(frozen=True)
class EngineRow:
    """The network alone, on a picture that is decoded already. No categories means all of them."""

    name: str
    title: str
    categories: tuple[str, ...] = ()
    batch: int = 1
    threads: int = 1


@dataclass(frozen=True)
class ServiceRow:
    """A service, from the JPEG of a request to the JSON of its answer."""

    name: str
    title: str
    picture: str
    categories: tuple[str, ...] = ()
    connections: tuple[int, ...] = (1, 16)


@dataclass(frozen=True)
class Variant:
    """espalier's kernels, by the flags of `espalier bench` that choose them. Optional: not every machine can run them."""

    flags: tuple[str, ...]
    optional: bool = False
    serves: bool = True  # takes part in the rows of the service, too
    tolerance: float = 1e-3  # of a score


ENGINE_ROWS = (
    EngineRow("whole", "whole network"),
    EngineRow("whole-8", "whole network, batch of 8", batch=8),
    EngineRow("one", "one category (`tabby`)", ("animal/cat/tabby",)),
    EngineRow("group", "one group (`cat`, 5 categories)", ("animal/cat",)),
    EngineRow("realm", "one realm (`animal`, 61 categories)", ("animal",)),
    EngineRow("scattered", "10 scattered categories", SCATTERED),
    EngineRow("threads", "whole network, two threads", threads=2),
)

SERVICE_ROWS = (
    ServiceRow("service", "whole network, JPEG of 64 × 64", "small"),
    ServiceRow("service-one", "one category (`tabby`), JPEG of 64 × 64", "small", ("animal/cat/tabby",)),
    ServiceRow("service-large", "whole network, JPEG of 640 × 480", "large"),
)

# The first one is what all others' scores are compared with. BF16 keeps 8 bits of a number.
VARIANTS = (
    Variant(("--precision", "fp32")),
    Variant(("--precision", "bf16"), optional=True, tolerance=0.5),
    Variant(("--kernels", "openblas"), serves=False),
)
