"""TensorFlow's messages as one short line that a terminal can show.

A status message may be pages long and quote bytes of the model; the error output
of a crashed process starts with the usual chatter. This file only cuts and
cleans: the meaning of a message does not matter here.

Sources: the log prefixes of TensorFlow (``tsl/platform/default/logging.cc``) and
of Abseil (https://abseil.io/docs/cpp/guides/logging); ECMA-48 for escapes.
"""

from __future__ import annotations

import re

__all__ = ["last_words", "one_line", "without_frames"]

LINE_CHARACTERS = 1000
WORDS_CHARACTERS = 400
WORDS_LINES = 3

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# C0, DEL and C1; the bidirectional controls reorder what stands around them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_PREFIX = re.compile(
    r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: (?P<old>[IWEF])"
    r"|(?P<new>[IWEF])\d{4} (?:\d\d:)+[\d.]+ +\d+)"
    r" (?P<file>[^ \]]+):\d+\] "
)
# Frames of stack traces, what announces them, and the line that Abseil prints first.
_CHATTER = re.compile(
    r"WARNING: All log messages before absl|To enable the following instructions"
    r"|\*\*\* |\s+@ |\s+File \"|Traceback |\[(?:symbolize|failure_signal)|PC: @|https?://symbolize"
)

# What Python puts before a status that a graph's operation raised: where the program that
# loads the model called it.
_FRAMES = re.compile(
    r"Graph execution error:$|Detected at node .* defined at \(most recent call last\):$"
    r"|\s+File \"|<stack traces unavailable>$"
)


def one_line(text: str, limit: int = LINE_CHARACTERS) -> str:
    """Return a text without escapes, control characters and line ends.

    Args:
        text: Anything.
        limit: Most characters to return; three dots mark a cut.

    Returns:
        One line, each run of white space and controls a single space.
    """
    # Cut first as well, so that a message of megabytes costs nothing.
    text = _ESCAPE.sub("", text[: limit * 8])
    text = " ".join(_CONTROL.sub(" ", text).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def without_frames(text: str) -> str:
    """Return a message of Python's without the stack frames of the process that asked.

    Args:
        text: A message, with its line ends.

    Returns:
        The other lines; the whole text where there are no others.
    """
    lines = "\n".join(line for line in text.splitlines() if not _FRAMES.match(line))
    return lines if lines.strip() else text


def last_words(output: bytes) -> str:
    """Return the last lines of a dead process that may say why it ended.

    Args:
        output: The end of its error output.

    Returns:
        The fatal line if it has logged one, else its last few lines that are
        neither chatter nor the frames of a stack trace; empty if there are none.
    """
    lines: list[str] = []
    fatal: list[str] = []
    for line in _ESCAPE.sub("", output.decode("utf-8", "replace")).splitlines():
        prefix = _PREFIX.match(line)
        severity = (prefix["old"] or prefix["new"]) if prefix else ""
        # Errors of looking for a GPU come before every load on a machine without.
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
