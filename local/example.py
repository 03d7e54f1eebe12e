"""The example programs in a freshly started emulator: one in every state a code can be in, and one worth exporting."""

from datetime import UTC, datetime

from local.emulator import Emulator

SHOP_PROGRAM = 5
LARGE_PROGRAM = 6
LARGE_PROGRAM_CODES = 10_000


def seed(emulator: Emulator) -> None:
    """Fill the emulator with the example programs."""
    programs = emulator.programs
    programs.add(SHOP_PROGRAM, *(f"Code-{number}" for number in range(1, 10)), attached=True)
    programs.add(SHOP_PROGRAM, "FREE-1", "FREE-2")
    programs.add(SHOP_PROGRAM, "USED-1", attached=True, activated=True)
    programs.add(SHOP_PROGRAM, "OLD-1", attached=True, expire_date=datetime(2024, 12, 31, tzinfo=UTC))
    programs.create(LARGE_PROGRAM, generated=LARGE_PROGRAM_CODES)
