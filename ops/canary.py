#!/usr/bin/env python3
"""Searches the output of every test for planted secrets: ops/canary.py JUNIT

Tests plant the word in passwords, signatures of locations and files that may not be read (tests/kit/src/canary.rs). Processes
that tests start are searched there; this search covers what tests print themselves, such as log lines of code that runs inside
of a test. Prints nothing and exits with 0 when there is none.
"""
import sys
import xml.etree.ElementTree as ElementTree

WORD = "canary"
# The test of the search itself, which fails on purpose.
EXEMPT = "text_with_a_planted_secret_fails_the_test"


def leaks(report):
    """Name of the test and line, for each line with a planted secret."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.get("name", "").endswith(EXEMPT):
            continue
        for output in (*case.iter("system-out"), *case.iter("system-err")):
            for line in (output.text or "").splitlines():
                # The runner's own line names the test, and a place in a source file is no secret.
                if line.startswith("test ") or "canary.rs" in line:
                    continue
                if WORD in line.lower():
                    yield f"{case.get('classname')} {case.get('name')}", line.strip()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(leaks(sys.argv[1]))
    for test, line in found:
        print(f"{test}: shows a planted secret: {line}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
