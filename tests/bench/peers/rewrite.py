"""Scan each line's JSON as parse.py does and write the line: `rewrite.py plain|zstd FILE TARGET`, zstd at level 1.

The least that a program can do which answers for the JSON that it stores.
"""

import sys

import msgspec


def opened(form, target):
    """The file to write to."""
    if form == "plain":
        return open(target, "wb")
    import zstandard

    return zstandard.open(target, "wb", cctx=zstandard.ZstdCompressor(level=1))


def main(form, source, target):
    parse = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    with open(source, "rb") as lines, opened(form, target) as out:
        for line in lines:
            parse(line[line.find(b"\t") + 1 :])
            out.write(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
