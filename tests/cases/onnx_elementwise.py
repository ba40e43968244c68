"""Models of ONNX operators on elements at the same index, and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto

from cases.onnx_models import model, names, node

ELEMENTWISE: dict[str, ModelProto] = {}


def case(name: str, *nodes: Any, **options: Any) -> None:
    """Register a model under a name; `x` is a parameter unless other weights are given."""
    assert name not in ELEMENTWISE
    options.setdefault("weights", {"x": (2, 3)})
    ELEMENTWISE[name] = model(*nodes, **options)


ONE = names(
    """Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor
    HardSigmoid IsInf IsNaN LeakyRelu Log Neg Reciprocal Relu Round Selu Shrink Sigmoid
    Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Identity Dropout
    Bernoulli"""
)

for operator in ONE:
    case(operator, f"{operator} x -> y", opset=20)
    case(
        f"{operator} of a sum",
        "Add x,b -> s",
        f"{operator} s -> y",
        weights={"x": (2, 3), "b": (3,)},
    )
for operator, opset in {"Gelu": 20, "HardSwish": 14, "Mish": 18, "Swish": 24}.items():
    case(operator, f"{operator} x -> y", opset=opset)
case("Not", "Greater x,b -> s", "Not s -> y", weights={"x": (2, 3), "b": (3,)})
case(
    "BitwiseNot",
    node("Cast x -> i", to=TensorProto.INT32),
    "BitwiseNot i -> y",
    opset=18,
)
case("Cast", node("Cast x -> y", to=TensorProto.DOUBLE))
case("CastLike", "CastLike x,like -> y", constants={"like": np.zeros(1)}, opset=19)
case(
    "QuantizeLinear",
    "QuantizeLinear x,scale -> q",
    "DequantizeLinear q,scale -> y",
    constants={"scale": np.float32(0.1)},
    opset=19,
)
case("Dropout with attributes", node("Dropout x -> y", ratio=0.3), opset=10)
case("Clip by attributes", node("Clip x -> y", min=0.0, max=6.0), opset=6)
case("Clip by inputs", "Clip x,,high -> y", constants={"high": np.float32(6)}, opset=13)
case(
    "Clip between two constants",
    "Clip x,low,high -> y",
    constants={"low": np.float32(0), "high": np.float32(6)},
)

TWO = {"x": (2, 3), "w": (2, 3)}
BROADCAST = {"x": (2, 1, 3), "w": (4, 1)}
for operator in names("""Add Sub Mul Div Max Min Mean Sum Pow PRelu"""):
    case(operator, f"{operator} x,w -> y", weights=TWO)
    if operator != "PRelu":
        case(f"{operator} broadcasts", f"{operator} x,w -> y", weights=BROADCAST)
    case(
        f"{operator} of a tensor and one number",
        f"{operator} x,w -> y",
        weights={"x": (2, 3), "w": (1,)},
    )
    case(f"{operator} of scalars", f"{operator} x,w -> y", weights={"x": (), "w": ()})
for operator in ["Add", "Mul", "Max", "Where"]:
    case(
        f"{operator} of an input",
        f"{operator} c,x,w -> y" if operator == "Where" else f"{operator} x,w -> y",
        inputs={"x": (1, 2, 3)},
        weights={"w": (2, 1)},
        constants={"c": np.array([True, False, True])} if operator == "Where" else {},
    )
for operator in ["Add", "Sub", "Mul", "Div"]:
    case(
        f"{operator} of version 6",
        node(f"{operator} x,w -> y", broadcast=1, axis=1),
        weights={"x": (2, 3, 4), "w": (3,)},
        opset=6,
    )
case("PRelu by channel", "PRelu x,slope -> y", weights={"x": (1, 2, 3), "slope": (2, 1)})
case("Mul by itself doubled", "Add x,x -> s", "Mul s,w -> y", weights=TWO)
case("Sum of three", "Sum x,w,v -> y", weights={"x": (2, 3), "w": (1, 3), "v": (3,)})
case("Max of three", "Max x,w,v -> y", weights={"x": (2, 3), "w": (1, 3), "v": (2, 1)})
case("Mean of one", "Mean x -> y")
case(
    "Max with a constant that is larger",
    "Max x,c -> y",
    constants={"c": np.zeros((4, 1, 1), np.float32)},
)
case(
    "Add of a constant that is larger",
    "Add x,c -> y",
    constants={"c": np.zeros((4, 1, 1), np.float32)},
)
case("Mod", node("Mod x,w -> y", fmod=1), weights=TWO)
MASK = np.array([[True, False, True], [False, False, True]])
for name, fill in {"zero": 0, "minus infinity": -np.inf}.items():
    case(
        f"Where masks with {name}",
        "Where c,x,v -> y",
        weights={"x": (2, 3)},
        constants={"c": MASK, "v": np.array(fill, np.float32)},
    )
case("Where all are chosen", "Where c,x,w -> y", weights=TWO, constants={"c": MASK | ~MASK})
case("Where", "Greater x,w -> c", "Where c,x,v -> y", weights={**TWO, "v": (1,)})
for operator in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]:
    case(operator, f"{operator} x,w -> y", weights={"x": (2, 3), "w": (3,)}, opset=16)
for operator in ["And", "Or", "Xor"]:
    case(
        operator,
        "Greater x,w -> a",
        "Less x,v -> b",
        f"{operator} a,b -> y",
        weights={"x": (2, 3), "w": (3,), "v": (2, 1)},
    )
for operator in ["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift"]:
    attributes = {"direction": "LEFT"} if operator == "BitShift" else {}
    case(
        operator,
        node("Cast x -> a", to=TensorProto.UINT32),
        node("Cast w -> b", to=TensorProto.UINT32),
        node(f"{operator} a,b -> y", **attributes),
        weights={"x": (2, 3), "w": (3,)},
        opset=18,
    )

REDUCTIONS = names("""L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare""")
CUBE = {"x": (2, 3, 4)}
for kind in REDUCTIONS:
    operator = f"Reduce{kind}"
    case(f"{operator} of all", f"{operator} x -> y", weights=CUBE)
    case(
        f"{operator} by attribute", node(f"{operator} x -> y", axes=[-1, 0]), weights=CUBE, opset=11
    )
    case(
        f"{operator} without axes left",
        node(f"{operator} x -> y", axes=[1], keepdims=0),
        weights=CUBE,
        opset=12,
    )
    case(
        f"{operator} by input",
        node(f"{operator} x,axes -> y", keepdims=0),
        weights=CUBE,
        constants={"axes": [-2]},
        opset=18,
    )
case(
    "ReduceSum by input in version 13",
    "ReduceSum x,axes -> y",
    weights=CUBE,
    constants={"axes": [0, -1]},
    opset=13,
)
case("ReduceSum of none", node("ReduceSum x -> y", noop_with_empty_axes=1), weights=CUBE, opset=13)
case(
    "ReduceSum of reduced",
    node("ReduceMean x -> m", axes=[1], keepdims=0),
    node("ReduceSum m,a -> y", keepdims=0),
    weights=CUBE,
    constants={"a": [0]},
    opset=13,
)
case(
    "ReduceMean of a transpose",
    node("Transpose x -> t", perm=[2, 0, 1]),
    node("ReduceMean t -> y", axes=[0]),
    weights=CUBE,
)
case(
    "Add of a mean of another axis order",
    node("ReduceMean x -> m", axes=[0], keepdims=0),
    node("Transpose m -> t", perm=[1, 0]),
    "Add t,b -> y",
    weights={**CUBE, "b": (4, 3)},
)
case(
    "Mean of a mean twice",
    node("ReduceMean x -> m", axes=[2]),
    "Mul m,w -> a",
    "Add a,m -> y",
    weights={**CUBE, "w": (3, 1)},
)
for operator in ["ArgMax", "ArgMin"]:
    case(operator, node(f"{operator} x -> y", axis=1), weights=CUBE)
    case(
        f"{operator} without its axis",
        node(f"{operator} x -> y", axis=-1, keepdims=0),
        weights=CUBE,
    )
case("Hardmax", "Hardmax x -> y", weights=CUBE)
case("Hardmax of an axis", node("Hardmax x -> y", axis=0), weights=CUBE)
for reverse in (0, 1):
    for exclusive in (0, 1):
        for axis in (0, -1, 1):
            options = {"reverse": reverse, "exclusive": exclusive}
            case(
                f"CumSum axis {axis} {options}",
                node("CumSum x,axis -> y", **options),
                weights=CUBE,
                constants={"axis": np.array(axis)},
            )
    case(
        f"CumProd reverse {reverse}",
        node("CumProd x,axis -> y", reverse=reverse, exclusive=1 - reverse),
        weights=CUBE,
        constants={"axis": np.array(1)},
        opset=26,
    )
for axis in (0, -1):
    case(
        f"TopK {axis}",
        node("TopK x,k -> y,at", axis=axis),
        weights={"x": (3, 4)},
        constants={"k": np.array([2])},
    )
case("Dropout with its mask", "Dropout x -> y,m", outputs="y,m", opset=13)
