"""Show that two models compute the same numbers; the only importer of onnxruntime.

``samples`` makes the inputs, ``sessions`` runs models, ``compare`` holds results against each other
and ``verify`` puts them together.
"""
