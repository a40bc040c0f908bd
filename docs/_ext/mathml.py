"""Formulas as MathML, which browsers draw themselves: no script, no network, no TeX, and no dependency.

The translation from LaTeX is the one that comes with docutils. A formula that it does not know is a warning.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)

# Bars around a value; without these attributes they are operators between two
BAR = re.compile(r"<mo[^>]*>([|∣‖∥])</mo>")


def translated(node, as_block):
    """MathML for a formula, or its source where that fails."""
    try:
        text = tex2mathml(node.astext(), as_block=as_block)
        return BAR.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', text)
    except MathError as error:
        logger.warning("no MathML for %r: %s", node.astext(), error, location=node)
        return f"<code>{node.astext()}</code>"


def visit_inline(self, node):
    """Writes a formula into the line."""
    self.body.append(translated(node, as_block=False))
    raise nodes.SkipNode


def visit_block(self, node):
    """Writes a formula of its own, in a box that can be scrolled on narrow screens."""
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(translated(node, as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Registers the renderer, which conf.py names."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
