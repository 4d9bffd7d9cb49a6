"""Edit a model's graph: the names that the repairs in ``fixers/`` may import, beside ``api``.

``linking`` is the one place that touches onnx-graphsurgeon. Everything above works on a ``Draft``:
``views`` fuses reshapes, ``permute`` splits a Transpose, ``lowering`` gives every operator a form
of lower rank, ``batch`` folds samples, ``fold`` evaluates what is constant, ``opsets`` rewrites
operators for another version. No module here decides whether a result is kept: ``repair`` does.
"""
