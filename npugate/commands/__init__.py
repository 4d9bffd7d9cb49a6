"""The sub-commands, each loaded when it is called."""
