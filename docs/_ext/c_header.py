"""The directive `c-header`: a C header as reference pages, made from its comments and declarations.

It knows one style of header, that of src_c/clstm.h: banners `/* ---- name ---- */` begin sections, and a comment
belongs to the declarations right below it. A comment followed by a blank line is text of its section. In comments,
blank lines part paragraphs, and lines indented by four or more are formulas. The text is taken as it is: nothing in it
has to be escaped.
"""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

BANNER = re.compile(r"/\* -{3,} (.+?) -{3,} \*/\n")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
TYPEDEF_NAME = re.compile(r"}\s*(\w+)$")


class Group(NamedTuple):
    """A comment and the declarations it belongs to; either may be missing."""

    comment: str
    declarations: list


def groups(text):
    """The groups of a section, in order."""
    found, comment, declarations, at = [], "", [], 0

    def close():
        nonlocal comment, declarations
        if comment or declarations:
            found.append(Group(comment, declarations))
        comment, declarations = "", []

    while at < len(text):
        blank = re.compile(r"\s*").match(text, at)
        if blank.group().count("\n") > 1:
            close()
        at = blank.end()
        if text.startswith("#", at):
            at = text.find("\n", at)
        elif text.startswith("/*", at):
            close()
            end = COMMENT.match(text, at).end()
            comment, at = text[at:end], end
        elif at < len(text):
            end = declaration_end(text, at)
            declarations.append(text[at:end].strip())
            at = end
    close()
    return found


def declaration_end(text, at):
    """Where a declaration ends: behind the first semicolon that is in no brace and no comment."""
    depth = 0
    while True:
        if text.startswith("/*", at):
            at = COMMENT.match(text, at).end()
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if text[at - 1] == ";" and depth == 0:
            return at


def plain(comment):
    """The text of a comment without its frame."""
    lines = comment.removeprefix("/*").removesuffix("*/").splitlines()
    lines = [re.sub(r"^ \* ?", "", line) for line in lines]
    return textwrap.dedent("\n".join([lines[0].strip(), *lines[1:]])).strip("\n")


def paragraphs(text):
    """Comment text as nodes."""
    made = []
    for piece in re.split(r"\n\s*\n", text):
        # Formulas may follow a line of text without a blank line between them
        for indented, lines in grouped(piece.splitlines()):
            if indented:
                made.append(nodes.literal_block(text=textwrap.dedent("\n".join(lines)), language="text"))
            else:
                made.append(paragraph(" ".join(line.strip() for line in lines)))
    return made


def grouped(lines):
    """Runs of lines that are indented by four or more, or are not."""
    runs = []
    for line in lines:
        indented = line.startswith("    ")
        if not runs or runs[-1][0] != indented:
            runs.append((indented, []))
        runs[-1][1].append(line)
    return runs


def paragraph(text):
    """A paragraph in which `x` is code."""
    node = nodes.paragraph()
    for k, part in enumerate(text.split("`")):
        node += nodes.literal(text=part) if k % 2 else nodes.Text(part)
    return node


def with_lead(node):
    """A paragraph whose first word is a sentence of its own, `Memory. The caller ...`, with that word set off."""
    lead = re.match(r"([A-Z]\w+\.) ", node.astext())
    if lead and isinstance(node, nodes.paragraph):
        node[0] = nodes.Text(node[0].removeprefix(lead.group(1)))
        node.insert(0, nodes.strong(text=lead.group(1)))
    return node


def signature(declaration):
    """What the C domain of Sphinx is told about a declaration: the directive and its argument."""
    flat = " ".join(COMMENT.sub(" ", declaration).rstrip(";").split())
    if flat.startswith("typedef") and "{" in flat:
        return "c:type", TYPEDEF_NAME.search(flat).group(1)
    if flat.startswith("typedef"):
        return "c:type", flat.removeprefix("typedef ")
    return "c:function", flat


class CHeader(SphinxDirective):
    """See the top of this file."""

    required_arguments = 1

    def run(self):
        """The first comment, then one section for each banner."""
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        text = Path(path).read_text(encoding="utf-8")
        text = text[: text.rindex("#ifdef __cplusplus")]  # the closing brace of extern "C"
        first, *rest = BANNER.split(text)
        made = [with_lead(node) for node in paragraphs(plain(COMMENT.match(first).group()))]
        for name, body in zip(rest[::2], rest[1::2]):
            made.append(self.section(name, body))
        return made

    def section(self, name, body):
        """The section below one banner."""
        identifier = f"c-{nodes.make_id(name)}"
        section = nodes.section(ids=[identifier], names=[identifier])
        section += nodes.title(text=name[0].upper() + name[1:])
        for group in groups(body):
            text = paragraphs(plain(group.comment)) if group.comment else []
            if not group.declarations:
                section += text
            for declaration in group.declarations:
                section += self.described(declaration, text)
                text = []
        return section

    def described(self, declaration, text):
        """A declaration with its text; where it has members, also its source, in which each member has a comment."""
        directive, argument = signature(declaration)
        box = nodes.Element()
        self.state.nested_parse(StringList([f"```{{{directive}}} {argument}", "```"], self.arguments[0]), 0, box)
        content = next(iter(box.findall(addnodes.desc_content)))
        content += text
        if "{" in declaration:
            content += nodes.literal_block(text=declaration, language="c")
        return box.children


def setup(app):
    """Registers the directive."""
    app.add_directive("c-header", CHeader)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
