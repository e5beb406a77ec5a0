import json


def map(key, dims, value, context):
    context.write(json.loads(value)["info"]["appName"], 1)
