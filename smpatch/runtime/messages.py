"""TensorFlow's messages as one short line that a terminal can show.

A status message may be several pages long and quote bytes of the model. The error output of a
crashed process begins with log lines that do not matter. This module only cuts and cleans
messages; it does not interpret them.

Sources: the log prefixes of TensorFlow (``tsl/platform/default/logging.cc``) and
of Abseil (https://abseil.io/docs/cpp/guides/logging); ECMA-48 for escapes.
"""

from __future__ import annotations

import re

LINE_CHARACTERS = 1000
WORDS_CHARACTERS = 400
WORDS_LINES = 3

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# C0, DEL and C1; bidirectional controls, which reorder the text around them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_PREFIX = re.compile(
    r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: (?P<old>[IWEF])"
    r"|(?P<new>[IWEF])\d{4} (?:\d\d:)+[\d.]+ +\d+)"
    r" (?P<file>[^ \]]+):\d+\] "
)
# Frames of stack traces, the lines before them, and the line that Abseil prints first.
_CHATTER = re.compile(
    r"WARNING: All log messages before absl|To enable the following instructions"
    r"|\*\*\* |\s+@ |\s+File \"|Traceback |\[(?:symbolize|failure_signal)|PC: @|https?://symbolize"
)

# The lines that Python puts before the status of a failed operation: the stack of the program that
# called the graph.
_FRAMES = re.compile(
    r"Graph execution error:$|Detected at node .* defined at \(most recent call last\):$"
    r"|\s+File \"|<stack traces unavailable>$"
)


def one_line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """Return a text without escapes, control characters and line ends.

    Args:
        text: Any text.
        limit: The most characters to return; three dots mark a cut.

    Returns:
        One line, in which one space replaces each run of white space and control characters.
    """
    # The text is cut here too, so that a message of megabytes takes little time.
    text = _ESCAPE.sub("", text[: limit * 8])
    text = " ".join(_CONTROL.sub(" ", text).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def without_frames(text: str) -> str:
    """Return a message of Python without the stack frames of the calling program.

    Returns:
        The other lines; the whole text if there are no other lines.
    """
    lines = "\n".join(line for line in text.splitlines() if not _FRAMES.match(line))
    return lines if lines.strip() else text


def last_words(output: bytes) -> str:
    """Return the last lines of a process that may explain why it ended.

    Returns:
        The fatal lines if the process has logged any, else its last few lines that are neither
        unimportant log lines nor frames of a stack trace; empty if there are no such lines.
    """
    lines: list[str] = []
    fatal: list[str] = []
    for line in _ESCAPE.sub("", output.decode("utf-8", "replace")).splitlines():
        prefix = _PREFIX.match(line)
        severity = (prefix["old"] or prefix["new"]) if prefix else ""
        # On a machine without a GPU, each load logs errors of the search for one.
        if severity in {"I", "W"} or (prefix and "cuda" in prefix["file"]):
            continue
        if _CHATTER.match(line):
            continue
        words = one_line(line[prefix.end() :] if prefix else line, WORDS_CHARACTERS)
        if words:
            lines.append(words)
            if severity == "F":
                fatal.append(words)
    return one_line(" / ".join((fatal or lines)[-WORDS_LINES:]), WORDS_CHARACTERS)
