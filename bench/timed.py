"""Runs a command and writes what it took: timed.py REPORT COMMAND...

REPORT gets one JSON object: wall seconds, peak resident bytes (of the largest process), page faults
that had to read from a disk, and exit status. A program of its own, so that what stands before a measured command (--prefix) and the size
of the measuring script do not count.
"""

import json
import os
import sys
import time


def main():
    """Command line."""
    report, command = sys.argv[1], sys.argv[2:]
    start = time.monotonic()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    seconds = time.monotonic() - start
    facts = {
        "seconds": seconds,
        "peak_bytes": usage.ru_maxrss * 1024,
        "read_from_disk": usage.ru_majflt,
        "status": os.waitstatus_to_exitcode(status),
    }
    with open(report, "w", encoding="utf-8") as file:
        json.dump(facts, file)


if __name__ == "__main__":
    main()
