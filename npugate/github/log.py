"""What a step says in its log: lines of ours that the runner acts on, and text that it must not."""

from __future__ import annotations

import secrets

from npugate import escape
from npugate.github.commands import workflow_command


def line(command: str, message: str) -> str:
    """Return one command with a message that nothing in it can end early."""
    safe = escape.log_document(escape.visible(message))
    return workflow_command(command, safe, title="npugate") + "\n"


def quoted(text: str) -> str:
    """Return text in which the runner looks for no commands, whatever it holds."""
    token = secrets.token_hex(16)
    inert = text.rstrip().encode("utf-8", "backslashreplace").decode()
    return f"{workflow_command('stop-commands', token)}\n{inert}\n::{token}::\n"
