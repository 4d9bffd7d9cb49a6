"""Export one module: from a job to a file and a report."""

from __future__ import annotations

from npugate.export.values import ExportJob, ExportReport


def export(job: ExportJob) -> ExportReport:
    """Export a module and write it; nothing is written unless it agrees with PyTorch."""
    raise NotImplementedError(job.entry)
