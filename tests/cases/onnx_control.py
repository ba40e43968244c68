"""Models with branches, loops, scans and functions of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from cases.onnx_models import model, node, subgraph

CONTROL: dict[str, ModelProto] = {}


def case(name: str, *nodes: Any, **options: Any) -> None:
    """Register a model under a name."""
    assert name not in CONTROL
    options.setdefault("weights", {"x": (2, 3), "w": (2, 3), "v": (3,)})
    CONTROL[name] = model(*nodes, **options)


def number(name: str, value: Any) -> Any:
    """A Constant node."""
    tensor = numpy_helper.from_array(np.array(value), name)
    return helper.make_node("Constant", [], [name], value=tensor)


for chosen in (True, False):
    case(
        f"If {chosen}",
        node(
            "If c -> y",
            then_branch=subgraph("Add x,w -> a", "Mul a,x -> r", outputs="r"),
            else_branch=subgraph("Sub x,inner -> s", outputs="s", weights={"inner": (3,)}),
        ),
        constants={"c": np.array(chosen)},
    )
    case(
        f"If {chosen} gives an outer tensor",
        node(
            "If c -> y",
            then_branch=subgraph(outputs="x"),
            else_branch=subgraph("Relu w -> r", outputs="r"),
        ),
        "Mul y,v -> z",
        constants={"c": np.array(chosen)},
    )
case(
    "If within If",
    node(
        "If c -> y",
        then_branch=subgraph(
            "Add x,w -> a",
            node(
                "If d -> b",
                then_branch=subgraph("Add a,a -> t", outputs="t"),
                else_branch=subgraph("Mul a,v -> e", outputs="e"),
            ),
            "Mul b,a -> r",
            outputs="r",
        ),
        else_branch=subgraph(outputs="x"),
    ),
    constants={"c": np.array(True), "d": np.array(False)},
)
case(
    "If of a shape",
    "Shape x -> shape",
    number("first", 0),
    "Gather shape,first -> n",
    number("two", 2),
    "Equal n,two -> c",
    node(
        "If c -> y",
        then_branch=subgraph("Mul x,v -> r", outputs="r"),
        else_branch=subgraph("Add x,w -> e", outputs="e"),
    ),
)

STEP = subgraph(
    "Identity c -> c2",
    "Add s,x -> t",
    "Mul t,v -> s2",
    "Relu s2 -> out",
    inputs="i,c,s",
    outputs="c2,s2,out",
)
case(
    "Loop",
    node("Loop n,,w -> final,stacked", body=STEP),
    constants={"n": np.array(3)},
    outputs="final,stacked",
)
case(
    "Loop of one step",
    node("Loop n,go,w -> final,stacked", body=STEP),
    constants={"n": np.array(1), "go": np.array(True)},
)
case("Loop without stacking", node("Loop n,,w -> final", body=STEP), constants={"n": np.array(2)})
case(
    "Loop of no steps",
    node("Loop n,,w -> final", body=STEP),
    "Add final,x -> y",
    constants={"n": np.array(0)},
)
case(
    "Loop while a condition holds",
    node(
        "Loop ,go,w,zero -> final,count",
        body=subgraph(
            "Add s,x -> s2",
            number("one", 1),
            number("limit", 4),
            "Add k,one -> k2",
            "Less k2,limit -> c2",
            inputs="i,c,s,k",
            outputs="c2,s2,k2",
        ),
    ),
    constants={"go": np.array(True), "zero": np.array(0)},
    outputs="final",
)
case(
    "Loop that takes slices by its step",
    node(
        "Loop n,,start -> final,rows",
        body=subgraph(
            "Identity c -> c2",
            "Gather table,i -> row",
            "Add s,row -> s2",
            "Mul s2,row -> out",
            inputs="i,c,s",
            outputs="c2,s2,out",
        ),
    ),
    weights={"table": (4, 3), "start": (3,)},
    constants={"n": np.array(3)},
    outputs="final,rows",
)

SCANNED = subgraph(
    "Add state,part -> sum",
    "Mul sum,v -> next",
    "Relu next -> out",
    inputs="state,part",
    outputs="next,out",
)
for back in (0, 1):
    case(
        f"Scan {back}",
        node(
            "Scan start,x -> final,stacked",
            body=SCANNED,
            num_scan_inputs=1,
            scan_input_directions=[back],
            scan_output_directions=[1 - back],
        ),
        weights={"x": (4, 3), "v": (3,), "start": (3,)},
        outputs="final,stacked",
    )
case(
    "Scan of other axes",
    node(
        "Scan start,x -> final,stacked",
        body=SCANNED,
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[-1],
    ),
    weights={"x": (3, 4), "v": (3,), "start": (3,)},
    outputs="final,stacked",
)
case(
    "Scan of two sequences",
    node(
        "Scan a,b -> stacked",
        body=subgraph("Mul p,q -> r", inputs="p,q", outputs="r"),
        num_scan_inputs=2,
        scan_input_directions=[0, 1],
    ),
    weights={"a": (4, 3), "b": (4, 1)},
)

DENSE = helper.make_function(
    "my.domain",
    "Dense",
    ["x", "kernel", "bias"],
    ["y"],
    [node("MatMul x,kernel -> p"), node("Add p,bias -> s"), node("Relu s -> y")],
    [helper.make_opsetid("", 17)],
)
MLP = helper.make_function(
    "my.domain",
    "Mlp",
    ["x", "a", "b", "c"],
    ["y"],
    [node("my.domain::Dense x,a,b -> h"), node("my.domain::Dense h,a,c -> y")],
    [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)],
)
WEIGHTS = {"x": (2, 3), "a": (3, 3), "b": (3,), "c": (3,)}
case("Function", "my.domain::Dense x,a,b -> y", weights=WEIGHTS, functions=[DENSE])
case(
    "Function of functions", "my.domain::Mlp x,a,b,c -> y", weights=WEIGHTS, functions=[DENSE, MLP]
)
case(
    "Function used twice",
    "my.domain::Dense x,a,b -> h",
    "my.domain::Dense h,a,c -> y",
    weights=WEIGHTS,
    functions=[DENSE],
)


def referring(name: str, kind: Any) -> AttributeProto:
    """An attribute of a node within a function whose value is an attribute of the function."""
    attribute = AttributeProto()
    attribute.name, attribute.ref_attr_name, attribute.type = name, f"my_{name}", kind
    return attribute


def function_with_attributes(*, default: bool) -> Any:
    """A convolution whose strides are an attribute of the function, perhaps with a default."""
    conv = node("Conv x,w -> y")
    conv.attribute.append(referring("strides", AttributeProto.INTS))
    return helper.make_function(
        "my.domain",
        "Strided",
        ["x", "w"],
        ["y"],
        [conv],
        [helper.make_opsetid("", 17)],
        [] if default else ["my_strides"],
        [helper.make_attribute("my_strides", [2])] if default else [],
    )


IMAGE = {"x": (1, 1, 7), "w": (1, 1, 2)}
for strides in ([1], [3]):
    case(
        f"Function with an attribute {strides}",
        node("my.domain::Strided x,w -> y", my_strides=strides),
        weights=IMAGE,
        functions=[function_with_attributes(default=False)],
    )
case(
    "Function with the default of an attribute",
    "my.domain::Strided x,w -> y",
    weights=IMAGE,
    functions=[function_with_attributes(default=True)],
)
case(
    "Function with an attribute that is not its default",
    node("my.domain::Strided x,w -> y", my_strides=[3]),
    weights=IMAGE,
    functions=[function_with_attributes(default=True)],
)
case(
    "Function without its last input",
    "my.domain::Clipped x -> y",
    weights={"x": (2, 3)},
    functions=[
        helper.make_function(
            "my.domain",
            "Clipped",
            ["x", "low"],
            ["y"],
            [node("Clip x,low -> y")],
            [helper.make_opsetid("", 17)],
        )
    ],
)
case(
    "Function of an operator that ONNX has as well",
    node("Cast x -> t", to=TensorProto.FLOAT),
    "my.domain::Softplus t,v -> y",
    functions=[
        helper.make_function(
            "my.domain",
            "Softplus",
            ["a", "b"],
            ["c"],
            [node("Mul a,b -> m"), node("Exp m -> c")],
            [helper.make_opsetid("", 17)],
        )
    ],
)
