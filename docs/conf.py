"""How Sphinx builds these pages; `python3 dev.py docs` calls it, and a warning is an error."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

import clstm  # noqa: E402

project = "clstm"
author = "The clstm developers"
copyright = author
version = release = clstm.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "c_header",
    "drawing",
    "mathml",
]
exclude_patterns = ["_build", "_drawings", "data"]
source_suffix = {".md": "markdown"}
default_role = "py:obj"  # docstrings write `name` for code: a link where there is something of that name
show_warning_types = True

# $x$ and $$x$$ are formulas; headings down to the third level can be linked to
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Members stand in the order of their source. Stubs have the types, docstrings say what they mean.
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_param = False  # what stands for a type is mostly a shape: no links
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"clstm {version}"
html_static_path = ["_static"]
html_css_files = ["clstm.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
pygments_style = "tango"
pygments_dark_style = "monokai"

# What is copied is the input: no prompt, no output
copybutton_exclude = ".linenos, .gp, .go"


def draw_airline(app):
    """Draws the picture of the command-line page by running the command."""
    command = [sys.executable, "-m", "clstm", "forecast", "--quiet", "--plot", HERE / "_drawings" / "airline.png"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def setup(app):
    """What has to be there before the pages are read."""
    app.connect("builder-inited", draw_airline)
