"""How Sphinx builds these pages; `python3 dev.py docs` calls it, and a warning is an error."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATHS = [str(HERE / "_ext"), str(HERE / "data")]  # extensions; and `import datasets` in tutorials
sys.path[:0] = PATHS
# For the processes that run tutorials: the paths, and one thread each
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*PATHS, os.environ.get("PYTHONPATH")]))
os.environ.update(dict.fromkeys(("CLSTM_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"))

import gallery  # noqa: E402

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
    "sphinx_gallery.gen_gallery",
    "c_header",
    "drawing",
    "gallery",
    "mathml",
]
exclude_patterns = ["_build", "_drawings", "data", "gallery"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}  # sphinx-gallery writes the latter
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

# Tutorials: gallery/plot_*.py are run, unless neither they nor their pages have changed since the last build
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "tutorials/gallery",
    "within_subsection_order": "gallery.Order",
    "minigallery_sort_order": "gallery.place",
    "reset_modules": ("matplotlib", "gallery.reset"),
    "parallel": gallery.processes(),
    "doc_module": ("clstm",),  # names of clstm in the code are links to the reference
    "backreferences_dir": "tutorials/gallery/backreferences",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "ignore_repr_types": "matplotlib|list|tuple",  # what its calls return says nothing
    "image_srcset": ["2x"],  # for screens with small pixels
    "thumbnail_size": (640, 448),
    "remove_config_comments": True,  # which picture is that of the card
}

html_theme = "furo"
html_title = f"clstm {version}"
html_static_path = ["_static"]
html_css_files = ["clstm.css", "gallery.css"]
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
