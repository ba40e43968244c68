"""Small Keras models as Keras serialises them, written without Keras."""

from __future__ import annotations

from typing import Any

Layer = tuple[str, dict[str, Any]]


def sequence(*layers: Layer, shape: Any = (None, 4)) -> dict[str, Any]:
    """The configuration of a sequential model; its layers are called "layer0" and so on."""
    found: list[Any] = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": list(shape)}}
    ]
    for number, (kind, config) in enumerate(layers):
        found.append({"class_name": kind, "config": {"name": f"layer{number}", **config}})
    return {"class_name": "Sequential", "config": {"name": "net", "layers": found}}


def functional(
    inputs: dict[str, Any], calls: dict[str, tuple[str, dict[str, Any], list[Any]]], *outputs: str
) -> dict[str, Any]:
    """The configuration of a functional model.

    Parameters
    ----------
    inputs : dict of str to shape
    calls : dict of str to (kind, config, arguments)
        Layers by name; operations of keras.ops have a kind such as "ops.Add". Arguments are names
        of layers, lists of them, or plain values.
    *outputs : str
        Names of layers; what is listed twice is listed twice.
    """
    layers: list[Any] = [
        {
            "class_name": "InputLayer",
            "name": name,
            "config": {"name": name, "batch_shape": list(shape)},
        }
        for name, shape in inputs.items()
    ]
    names = {*inputs, *calls}
    for name, (kind, config, arguments) in calls.items():
        is_operation = kind.startswith("ops.")
        layers.append(
            {
                "class_name": kind.removeprefix("ops."),
                "module": "keras.src.ops.numpy" if is_operation else "keras.layers",
                "name": name,
                "config": {"name": name, **config},
                "inbound_nodes": [{"args": _tensors(arguments, names), "kwargs": {}}],
            }
        )
    config = {
        "name": "net",
        "layers": layers,
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    return {"class_name": "Functional", "config": config}


def _tensors(given: Any, names: set[str]) -> Any:
    if isinstance(given, list):
        return [_tensors(one, names) for one in given]
    if isinstance(given, str) and given in names:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [given, 0, 0]}}
    return given


IMAGE = (None, 8, 8, 3)

MODELS: dict[str, dict[str, Any]] = {
    "convolutions": sequence(
        ("Conv2D", {"filters": 4, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}),
        ("BatchNormalization", {"axis": -1}),
        ("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2]}),
        ("DepthwiseConv2D", {"kernel_size": [3, 3], "strides": [1, 1], "depth_multiplier": 2}),
        ("Flatten", {}),
        ("Dense", {"units": 3, "activation": "softmax"}),
        shape=IMAGE,
    ),
    "norms": sequence(
        ("Conv2DTranspose", {"filters": 4, "kernel_size": [3, 3], "strides": [2, 2]}),
        ("LayerNormalization", {"axis": -1}),
        ("GroupNormalization", {"groups": 2, "axis": -1}),
        ("UpSampling2D", {"size": [2, 2], "interpolation": "bilinear"}),
        ("GlobalAveragePooling2D", {}),
        ("UnitNormalization", {"axis": -1}),
        shape=IMAGE,
    ),
    "recurrent": sequence(
        ("Embedding", {"input_dim": 10, "output_dim": 4}),
        ("LSTM", {"units": 3, "return_sequences": True}),
        ("GRU", {"units": 3, "return_sequences": True, "reset_after": True}),
        ("SimpleRNN", {"units": 2}),
        shape=(None, 5),
    ),
    "sequences": sequence(
        ("Conv1D", {"filters": 3, "kernel_size": [2], "padding": "causal", "strides": [1]}),
        ("UpSampling1D", {"size": 2}),
        ("ZeroPadding1D", {"padding": [2, 2]}),
        ("Cropping1D", {"cropping": [1, 1]}),
        ("Permute", {"dims": [2, 1]}),
        ("Reshape", {"target_shape": [-1, 2]}),
        ("RepeatVector", {"n": 2}),
        shape=(None, 6, 3),
    ),
    "two inputs": functional(
        {"x": (None, 4), "y": (None, 4)},
        {
            "first": ("Dense", {"units": 6}, ["x"]),
            "second": ("Dense", {"units": 6, "use_bias": False}, ["y"]),
            "sum": ("Add", {}, [["first", "second"]]),
            "gate": ("Activation", {"activation": "sigmoid"}, ["sum"]),
            "product": ("Multiply", {}, [["sum", "gate"]]),
            "both": ("Concatenate", {"axis": -1}, [["product", "x"]]),
        },
        "both",
        "sum",
    ),
    "operations": functional(
        {"x": (None, 4, 6)},
        {
            "turned": ("ops.Transpose", {"axes": [0, 2, 1]}, ["x"]),
            "scores": ("ops.Matmul", {}, ["x", "turned"]),
            "weights": ("ops.Softmax", {"axis": -1}, ["scores"]),
            "mixed": ("ops.Einsum", {"subscripts": "bij,bjk->bik"}, ["weights", "x"]),
            "mean": ("ops.Mean", {"axis": 1, "keepdims": True}, ["mixed"]),
            "centred": ("ops.Subtract", {}, ["mixed", "mean"]),
            "largest": ("ops.Max", {"axis": -1, "keepdims": False}, ["centred"]),
            "head": ("Dense", {"units": 2}, ["largest"]),
        },
        "head",
    ),
    "a layer twice": functional(
        {"x": (None, 4)},
        {
            "inner": (*sequence(("Dense", {"units": 4})).values(), ["x"]),
            "flat": ("Flatten", {}, ["inner"]),
        },
        "flat",
    ),
}
