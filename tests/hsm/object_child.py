"""Puts records into an object file and says each one's number when it is kept, until it is killed."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from tests.hsm.test_objectfile import body, name
from trus.hsm.objectfile import ObjectFile

if __name__ == "__main__":
    file = ObjectFile(Path(sys.argv[1]))
    for number in itertools.count():
        file.append([(name(number), body(number))])
        print(number, flush=True)
