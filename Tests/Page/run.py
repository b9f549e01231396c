"""Runs all tests of the page: python run.py [-k name]."""

import sys
import unittest

sys.dont_write_bytecode = True

from browser import Browser  # noqa: E402

if __name__ == "__main__":
    program = unittest.main(module=None, exit=False, argv=[
        sys.argv[0], "discover", "-s", __file__.rsplit("/", 1)[0] or ".", "-t", __file__.rsplit("/", 1)[0] or ".", *sys.argv[1:]])
    Browser.close()
    sys.exit(not program.result.wasSuccessful())
