"""Doors of `Graph`: one file per kind of input, each returning an `EdgeList`.

Nothing here knows the `Graph` class. A door translates the user's object into indices and ids,
checks what only it can see (shapes, columns, lines), and `csr.assemble` does the rest.
"""
