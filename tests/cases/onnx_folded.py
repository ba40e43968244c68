"""Models as PyTorch's exporter writes them: with what it folded, and what it folded that from."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from cases.onnx_models import model, node

SIGNATURE = """
# inputs
p_tokens: PARAMETER target='tokens'
p_bias: PARAMETER target='attention.bias'
p_gain: PARAMETER target='gain'
b_frequencies: BUFFER target='frequencies' persistent=False
b_mean: BUFFER target='mean' persistent=True
x: USER_INPUT

# outputs
y: USER_OUTPUT
"""


def folded(
    *nodes: Any,
    stored: dict[str, Any],
    sources: dict[str, list[str]],
    inputs: dict[str, Any],
    signature: str = SIGNATURE,
) -> Any:
    """A model of PyTorch's exporter, which says what stored tensors were folded from."""
    file = model(*nodes, inputs=inputs)
    for name, array in stored.items():
        file.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    for name, names in sources.items():
        value = file.graph.value_info.add(name=name)
        value.CopyFrom(onnx.helper.make_tensor_value_info(name, 1, stored[name].shape))
        value.metadata_props.add(key="pkg.onnxscript.optimizer.folded_from", value=repr(names))
    file.graph.metadata_props.add(
        key="pkg.torch.export.ExportedProgram.graph_signature", value=signature
    )
    return file


FOLDED = {
    "masked and biased": folded(
        "Add x,clone -> s",
        node("Softmax s -> p", axis=-1),
        "MatMul p,tokens -> h",
        "MatMul h,val_7 -> y",
        stored={
            "clone": np.where(np.tri(4) > 0, np.arange(16.0).reshape(4, 4), -3e38).astype("f"),
            "tokens": np.arange(8, dtype="f").reshape(4, 2),
            "val_7": np.arange(8, dtype="f").reshape(4, 2).T.copy(),
        },
        sources={"clone": ["attention.bias", "val_1"], "val_7": ["tokens"]},
        inputs={"x": (4, 4)},
    ),
    "rotated": folded(
        "Mul x,cos -> y",
        stored={"cos": np.cos(np.arange(8)[:, None] * [1.0, 0.5, 0.1]).astype("f")},
        sources={},
        inputs={"x": (8, 3)},
        signature="",
    ),
}
