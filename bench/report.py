"""Results as text: a line while they come, tables at the end. Tables are Markdown, aligned so that they read well as
they are."""

from __future__ import annotations

from .engines import is_own
from .results import Results, best_peer, gigaflops, is_noisy, ratio, seconds_of
from .tables import Table, all_tables, percent, times, unit_of


def line(results: Results, record: dict) -> str:
    """One row in one line."""
    parts = [f"{record['kind']}:{record['name']}".ljust(28), f"{record['threads']} thr"]
    for name in record["engines"]:
        if is_own(name) or name == best_peer(record):
            parts.append(figure(results, record, name))
    found = ratio(record)
    if found is not None:
        parts.append(f"ratio {times(found)}")
    wrong = [name for name, facts in record["engines"].items() if facts.get("invalid")]
    if wrong:
        parts.append(f"INVALID: the results of {', '.join(wrong)} differ")
    parts += [f"{name}: {why}" for name, why in record["skipped"].items()]
    return "  ".join(parts)


def figure(results, record, name):
    """The time of an engine, and its rate and share of the limit where there is one."""
    facts = record["engines"][name]
    if "bytes" in facts:
        return f"{name} " + ", ".join(f"{key} {value}" for key, value in facts["bytes"].items())
    seconds = seconds_of(record, name)
    if seconds is None:
        return f"{name} invalid"
    factor, unit = unit_of(seconds)
    text = f"{name} {'~' * is_noisy(facts)}{seconds * factor:.3g} {unit}, {gigaflops(record, name):.1f} GFLOP/s"
    share = results.fraction(record, name)
    return text if share is None else f"{text}, {percent(share)} of the limit"


def text(results: Results) -> str:
    """The machine, and every table for which there are rows."""
    parts = [heading(results)]
    parts += [render(table) for table in all_tables(results) if table.rows]
    return "\n\n".join(parts)


def heading(results):
    found = results.found
    machine = found["machine"]
    caches = ", ".join(f"{level} {size // 1024} KiB" for level, size in machine["caches"].items())
    lines = [
        f"{found['date']}, revision {machine['revision']}",
        f"{machine['cpu']}, {machine['cores']} cores, {caches}, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}",
        "; ".join(f"{', '.join(names)} {version}" for version, names in versions(results).items()),
    ]
    return "\n".join(lines)


def versions(results):
    """The engines of each version."""
    found = {}
    for row in results.rows:
        for name, facts in row["engines"].items():
            found.setdefault(facts["version"], {})[name] = None
    return found


def render(table: Table) -> str:
    """A table with its title and note; the first column is text, the others are set to the right."""
    cells = [table.header, *table.rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(table.header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [padded(table.header, widths), padded(rule, widths), *(padded(row, widths) for row in table.rows)]
    return "\n".join([f"## {table.title}", "", *lines, *(["", table.note] if table.note else [])])


def padded(row, widths):
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
    return f"| {' | '.join(cells)} |"
