"""os-count: how many pings came from each operating system."""

import json


def map(key, dims, value, context):
    """One for each ping, under the name of its operating system."""
    ping = json.loads(value)
    system = ping.get("environment", {}).get("system", {}).get("os", {}).get("name")
    context.write(ping.get("info", {}).get("OS") or system or "UNKNOWN", 1)


def combine(key, values, context):
    """Ones add up."""
    context.write(key, sum(values))


reduce = combine
