"""Draws the pictures of pages whose own code saves them: runs the code of each page in this folder.

    .venv/bin/python docs/_drawings/from_pages.py [PAGE ...]

The files differ only where the pictures do: no date, and names in them that do not depend on chance. Without arguments
it draws all; docs are built from the files that are here.
"""

import doctest
import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGES = ["tutorials/vanishing_gradient.md", "explanation/looking_inside.md"]


def run(page):
    """Runs the blocks of a page in order, in one namespace. That what they print is right is for the tests to see."""
    namespace = {"__name__": "__main__"}
    text = (HERE.parent / page).read_text(encoding="utf-8")
    for kind, block in re.findall(r"^```(python|pycon)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if kind == "pycon":
            block = "".join(example.source for example in doctest.DocTestParser().get_examples(block))
        exec(compile(block, page, "exec"), namespace)


def main():
    import matplotlib as mpl

    os.chdir(HERE)
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    mpl.rcParams.update({"svg.hashsalt": "clstm", "savefig.dpi": 150})
    for page in sys.argv[1:] or PAGES:
        run(page)


if __name__ == "__main__":
    main()
