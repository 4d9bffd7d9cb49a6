"""Work on untrusted files in bounded child processes."""
