"""tel: the library behind the telemetry filter suite; every `tel-*` tool is a short module over it."""

__version__ = "1.0.0"
