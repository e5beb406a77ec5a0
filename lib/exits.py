"""Exit statuses: the one table, after sysexits(3), that every tool, test and manual page uses."""

OK, NO, USAGE = 0, 1, 2
BAD_DATA, NO_INPUT, BUG, IO, TEMPORARY = 65, 66, 70, 74, 75

MEANINGS = {
    OK: "done",
    NO: "the answer is no",
    USAGE: "the command line is wrong",
    BAD_DATA: "bad data in the input",
    NO_INPUT: "an input is missing or cannot be read",
    BUG: "a bug of the suite",
    IO: "reading or writing failed",
    TEMPORARY: "the input is not whole, or something is busy: try again",
}
