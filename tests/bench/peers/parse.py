"""Parse each line's JSON and drop it: `parse.py ujson|msgspec|scan FILE...`.

`scan` checks the text of each ping and cuts it at its first level, without making objects of what lies below.
"""

import sys


def parser(name):
    """A function of JSON text."""
    if name == "ujson":
        import ujson

        return ujson.loads
    import msgspec

    kind = dict[str, msgspec.Raw] if name == "scan" else object
    return msgspec.json.Decoder(kind).decode


def main(name, *paths):
    parse = parser(name)
    for path in paths:
        with open(path, "rb") as file:
            for line in file:
                parse(line[line.find(b"\t") + 1 :])


if __name__ == "__main__":
    main(*sys.argv[1:])
