"""PyYAML's syntax errors as sentences with a mend."""

from __future__ import annotations

import yaml

from agent.config.finding import Finding

# What the scanner, parser or composer says (a part of it) → what is wrong, how to mend it.
_SENTENCES = (
    ("'\\t' that cannot start any token", "a tab", "indent with spaces"),
    ("cannot start any token", "a value may not begin with this character", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "a `: ` where no key can be",
        "indent the line like its neighbours, or put the value (an IPv6 address?) in quotes",
    ),
    ("could not find expected ':'", "a key without `:`", "write `key: value`"),
    (
        "expected <block end>",
        "a line indented unlike its neighbours",
        "give the lines of one mapping or list the same indent",
    ),
    (
        "expected ',' or '}'",
        "a `{` without its `}`, or a missing comma",
        "close the `{`, put a comma between the entries, or quote an IPv6 address",
    ),
    (
        "expected ',' or ']'",
        "a `[` without its `]`, or a missing comma",
        "close the `[`, or put a comma between the entries",
    ),
    (
        "expected the node content",
        "a value is missing here",
        "write the value, close the bracket, or quote an IPv6 address",
    ),
    ("found unexpected end of stream", "a quote that is not closed", "close the quote"),
    (
        "found undefined alias",
        "an alias (*name) whose &name is not above it",
        "write &name before the value to repeat, or quote a text that starts with `*`",
    ),
    ("found duplicate anchor", "an anchor (&name) twice", "give each anchor a name of its own"),
    ("but found another document", "a second document", "delete the line `---`"),
    (
        "expected '<document start>', but found '<stream end>'",
        "a line that starts with `%`",
        "delete it, or put the value in quotes",
    ),
    (
        "expected '<document start>'",
        "text after the end of the document",
        "give all keys at the margin the same indent",
    ),
    (
        "found unknown escape",
        "an escape that YAML does not know",
        "use single quotes, where a backslash is a backslash",
    ),
)


def syntax_finding(file: str, error: yaml.MarkedYAMLError) -> Finding:
    """The finding of a syntax error; it names where the unclosed thing began when the error is at the end."""
    said = error.problem or "not YAML"
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    for part, message, mend in _SENTENCES:
        if part in said:
            began = error.context_mark
            since = f" (it began in line {began.line + 1})" if began and began.line + 1 != line else ""
            return Finding(file, line, column, "", message + since, mend)
    return Finding(
        file, line, column, "", said, "check the indent, the quotes and the colons of this line and the one above"
    )
