"""Networks as ONNX files: `model_bytes` writes what `importers.from_onnx` reads back.

`model` puts a file together, `operations` says which nodes compute a tensor, `reading` how a tensor
is brought to the shape in which another one reads it, `functions` knows the pointwise functions,
`graph` collects nodes, and `values` draws initial weights. How files are read is in
`unrolled.importers.onnx`.
"""

from unrolled.network.exporting.model import model_bytes

__all__ = ["model_bytes"]
