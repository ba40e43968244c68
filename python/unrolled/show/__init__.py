"""How results look: tables as text and HTML, cells, figures, and formats of files.

What is shown is described by protocols; no result is computed here.
"""
