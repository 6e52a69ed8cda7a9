"""Pure detection: numpy arrays in, signals and alerts out. No I/O, no asyncio, no clock."""
