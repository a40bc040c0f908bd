"""The directive `drawing`: an SVG file as part of the page, so that it takes the page's colours, light or dark.

Its argument is the file, relative to the page; its content is the caption.
"""

from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class drawing(nodes.General, nodes.Element):
    """A figure: the text of an SVG file in the attribute `svg`, and the caption as children."""


class Drawing(SphinxDirective):
    """See the top of this file."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Reads the file, and parses the caption."""
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        node = drawing(svg=Path(path).read_text(encoding="utf-8"))
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


def visit(self, node):
    """Writes the figure; the box around the SVG can be scrolled on narrow screens."""
    self.body.append(f'<figure class="drawing"><div>{node["svg"]}</div><figcaption>')


def depart(self, node):
    """Ends the figure."""
    self.body.append("</figcaption></figure>\n")


def setup(app):
    """Registers the directive."""
    app.add_node(drawing, html=(visit, depart))
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
