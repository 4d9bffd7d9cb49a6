"""npugate: stop ONNX models that a neural accelerator cannot run, before they are merged.

One run is a straight line, and each step takes values and returns values::

    discover -> load -> facts -> check -> repair -> re-check -> report -> exit code

``discover`` finds the files, ``model.load`` reads one without its weights, ``facts`` computes what
is known of it once, ``check`` runs the rules of ``checks/`` over the facts, ``report`` counts, and
``reporters`` turn the report into text, JSON, SARIF, JUnit, Markdown or Code Quality.
"""

__version__ = "0.1.0"

SITE: str = ""
"""Address of the documentation's site, such as ``https://OWNER.github.io/npugate/``.

The one setting for it: the reports link below it, and the site is built for it. Empty as long as
the site stands nowhere: the action then links to the repository that it was taken from, and every
other report names ``npugate explain RULE``.
"""
