#!/usr/bin/env python3
"""Makes vectors/generated.json and vectors/ledger/ledger.json: a second, independent reading of the protocol and of the ledger, in plain Python.

    python3 vectors/gen.py             writes both
    python3 vectors/gen.py --check     compares with the committed files; exit 1 with the first group that differs
    python3 vectors/gen.py --selftest  recomputes every case of vectors/enc-vectors.json; exit 1 with each disagreement

Python 3.11 or later, standard library only. No clock and no randomness: the same text every time.
"""

import json
import pathlib
import sys

from gen import assembly, cases_ledger, selftest

HERE = pathlib.Path(__file__).parent
GENERATED = HERE / "generated.json"
LEDGER = HERE / "ledger" / "ledger.json"
GIVEN = HERE / "enc-vectors.json"


def write():
    GENERATED.write_text(assembly.document(), encoding="utf-8")
    LEDGER.write_text(cases_ledger.document(), encoding="utf-8")
    return 0


def check():
    committed = GENERATED.read_text(encoding="utf-8")
    group = assembly.first_difference(committed, assembly.document())
    if LEDGER.read_text(encoding="utf-8") != cases_ledger.document():
        print("ledger/ledger.json differs from what gen.py makes")
        return 1
    if group is None:
        return 0
    print(f"generated.json differs from what gen.py makes, first in: {group}")
    return 1


def run_selftest():
    groups = json.loads(GIVEN.read_text(encoding="utf-8"))["groups"]
    found = selftest.differences(groups)
    for line in found:
        print(line)
    print(f"{sum(map(len, groups.values()))} cases, {len(found)} disagreements")
    return 1 if found else 0


def main(arguments):
    actions = {(): write, ("--check",): check, ("--selftest",): run_selftest}
    if tuple(arguments) not in actions:
        print(__doc__.strip())
        return 2
    return actions[tuple(arguments)]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
