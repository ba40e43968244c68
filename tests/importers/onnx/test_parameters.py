"""What is a parameter in an ONNX file, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

import unrolled
from cases.onnx_models import model, node, subgraph
from oracles.onnx_checking import assert_counts
from unrolled.errors import InvalidArgumentError, InvalidModelError

DENSE = model(
    "MatMul x,w -> p", "Add p,b -> y", inputs={"x": (2, 3)}, weights={"w": (3, 4), "b": (4,)}
)


def counts_of(proto: ModelProto, **options: Any) -> dict[str, Any]:
    counts = unrolled.count(unrolled.from_onnx(proto, **options))
    return {name: counts[name].exact().tolist() for name in counts}


def test_names_shapes_and_provenance() -> None:
    network = unrolled.from_onnx(DENSE)
    assert {tensor.name: tensor.shape for tensor in network.parameters} == {"w": (3, 4), "b": (4,)}
    provenance = network.provenance
    assert provenance is not None
    assert (provenance.framework, provenance.semantics) == ("onnx", "value")
    assert provenance.input_shapes == {"x": (2, 3)}
    assert provenance.operators == {"MatMul": 1, "Add": 1}
    assert provenance.parameters == {"w": 12, "b": 4}
    assert provenance.skipped == {}


def test_a_weight_used_twice_is_one_parameter() -> None:
    tied = model(
        "MatMul x,w -> h",
        node("Transpose w -> t", perm=[1, 0]),
        "MatMul h,t -> y",
        weights={"x": (2, 3), "w": (3, 4)},
    )
    network = assert_counts(tied)
    assert network.num_parameters == 6 + 12


VIEWS: dict[str, list[Any]] = {
    "transposed": [node("Transpose w -> v", perm=[1, 0])],
    "reshaped": ["Reshape w,shape -> v"],
    "sliced": [node("Slice w,zero,end,axis -> v")],
    "gathered": [node("Gather w,rows -> v", axis=0)],
    "standardised": [
        node("ReduceMean w -> m", axes=[1]),
        "Sub w,m -> d",
        "Mul d,d -> q",
        node("ReduceMean q -> s", axes=[1]),
        "Sqrt s -> r",
        "Div d,r -> v",
    ],
    "scaled": ["Mul w,factor -> v"],
    "behind Identity": ["Identity w -> w1", "Identity w1 -> v"],
    "cast": [node("Cast w -> v", to=TensorProto.FLOAT)],
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_weight_may_be_changed_before_it_is_used(name: str) -> None:
    rows = {"transposed": (2, 4), "reshaped": (2, 4), "sliced": (6, 2), "gathered": (3, 2)}
    proto = model(
        *VIEWS[name],
        "MatMul x,v -> y",
        inputs={"x": (3, 4)},
        weights={"w": rows.get(name, (4, 2))},
        constants={
            "shape": np.array([4, 2]),
            "zero": np.array([1]),
            "end": np.array([5]),
            "axis": np.array([0]),
            "rows": np.array([0, 2, 2, 1]),
            "factor": np.float32(0.1),
        },
    )
    as_if = None
    if name == "standardised":
        as_if = model("MatMul x,w -> y", inputs={"x": (3, 4)}, weights={"w": (4, 2)})
    assert_counts(proto, as_if=as_if)


def test_initializers_listed_among_the_inputs() -> None:
    proto = ModelProto()
    proto.CopyFrom(DENSE)
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, list(tensor.dims))
        proto.graph.input.append(value)
    network = unrolled.from_onnx(proto)
    assert [tensor.name for tensor in network.inputs] == ["x"]
    assert counts_of(proto) == counts_of(DENSE)
    assert counts_of(proto, input_shapes=(2, 3)) == counts_of(DENSE)


def test_weights_as_inputs_of_the_graph() -> None:
    nodes = [
        node("Conv x,kernel,bias -> c", group=2),
        "BatchNormalization c,scale,shift,mean,variance -> n",
        "Flatten n -> f",
        node("Gemm f,w,b -> y", transB=1),
    ]
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (4, 1, 3),
        "bias": (4,),
        **dict.fromkeys(["scale", "shift", "mean", "variance"], (4,)),
        "b": (2,),
    }
    stored = model(*nodes, inputs={"x": (1, 2, 5)}, weights={**shapes, "w": (2, 12)})
    given = model(*nodes, inputs={"x": (1, 2, 5), **shapes, "w": (2, 12)})
    assert unrolled.from_onnx(given).num_inputs == 10 + 24  # Gemm's matrix may be data as well.
    assert counts_of(given, parameters=["w"]) == counts_of(stored)
    with pytest.raises(InvalidArgumentError, match="did you mean 'kernel'"):
        unrolled.from_onnx(given, parameters=["kernal"])


def test_an_input_that_is_data_as_well_is_no_weight() -> None:
    proto = model(
        "Conv x,k -> c", "Conv k,c -> y", inputs={"x": (1, 1, 5), "k": (1, 1, 3)}, weights={}
    )
    assert unrolled.from_onnx(proto).num_inputs == 8


def test_constants_and_parameters_by_name() -> None:
    assert list(counts_of(DENSE, constants=["b"])) == ["w"]
    network = unrolled.from_onnx(DENSE, constants=["b"])
    assert network.provenance is not None
    assert network.provenance.skipped == {"b": "named as a constant"}
    numbers = model(
        "Gather table,at -> y", constants={"table": np.arange(6).reshape(3, 2), "at": [0]}
    )
    assert counts_of(numbers, parameters=["table"]) == {"table": [[1, 1], [0, 0], [0, 0]]}
    with pytest.raises(InvalidArgumentError, match="no stored tensor or input 'bias'"):
        unrolled.from_onnx(DENSE, constants=["bias"])


@pytest.mark.parametrize(
    ("name", "is_parameter"),
    [
        ("layer.gamma", True),
        ("scale", True),
        ("/block/Constant_3", False),
        ("onnx::Mul_12", False),
        ("const_fold_opt__33", False),
        ("val_17", False),
        ("sequential/re_lu/Const:0", False),
    ],
)
def test_single_numbers_under_names_that_exporters_make_up(name: str, is_parameter: bool) -> None:
    proto = model(f"Mul x,{name} -> y", inputs={"x": (3,)}, weights={name: ()})
    network = unrolled.from_onnx(proto)
    assert network.num_parameters == int(is_parameter)
    assert counts_of(proto, parameters=[name]) == {name: 3}
    if not is_parameter:
        assert network.provenance is not None
        assert "single number" in network.provenance.skipped[name]


def test_a_fixed_exponent_is_skipped_and_a_learnt_one_is_not() -> None:
    fixed = model("Pow x,p -> y", inputs={"x": (3,)}, weights={"p": ()})
    assert counts_of(fixed) == {"p": 3}
    fixed.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(2), "p"))
    network = unrolled.from_onnx(fixed)
    assert network.num_parameters == 0
    assert network.provenance.skipped == {"p": "a fixed exponent, 2"}  # type: ignore[union-attr]


def test_what_leads_nowhere_is_skipped() -> None:
    proto = model(
        "Mul x,w -> y",
        "Mul y,v -> z",
        inputs={"x": (3,)},
        weights={"w": (3,), "v": (3,), "u": (3,)},
        outputs="y",
    )
    network = unrolled.from_onnx(proto)
    assert [tensor.name for tensor in network.parameters] == ["w"]
    assert set(network.provenance.skipped) == {"u", "v"}  # type: ignore[union-attr]


def test_weights_that_the_model_makes_itself() -> None:
    proto = model(
        "ConstantOfShape shape -> w",
        "MatMul x,w -> y",
        inputs={"x": (2, 3)},
        constants={"shape": np.array([3, 4])},
    )
    assert_counts(proto, made={"w": (3, 4)})
    worked_out = model(
        "Shape x -> s", "ConstantOfShape s -> w", "Mul x,w -> y", inputs={"x": (2, 3)}
    )
    assert unrolled.from_onnx(worked_out).num_parameters == 0


def test_quantised_weights() -> None:
    weights = np.arange(12, dtype=np.int8).reshape(3, 4)
    proto = model(
        "DequantizeLinear w,scale -> f",
        "MatMul x,f -> p",
        "DequantizeLinear w,scale -> g",
        node("Transpose g -> t"),
        "MatMul p,t -> y",
        weights={"x": (2, 3)},
        constants={"w": weights, "scale": np.float32(0.1)},
        opset=19,
    )
    network = assert_counts(proto, made={"w": (3, 4)})
    assert network.num_parameters == 18


SCALES = {"s": np.float32(0.1), "z": np.uint8(0)}
KERNEL = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
QUANTISED: dict[str, tuple[list[Any], Any, Any]] = {
    "QLinearConv": (
        ["QuantizeLinear x,s,z -> q", "QLinearConv q,s,z,w,s,z,s,z -> y"],
        (1, 2, 6),
        KERNEL,
    ),
    "QLinearMatMul": (
        ["QuantizeLinear x,s,z -> q", "QLinearMatMul q,s,z,w,s,z,s,z -> y"],
        (5, 2),
        KERNEL[0],
    ),
    "ConvInteger": (
        ["DynamicQuantizeLinear x -> q,d,n", "ConvInteger q,w,n -> y"],
        (1, 2, 6),
        KERNEL,
    ),
    "MatMulInteger": (
        ["DynamicQuantizeLinear x -> q,d,n", "MatMulInteger q,w,n -> y"],
        (5, 2),
        KERNEL[0],
    ),
}


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_products(name: str) -> None:
    nodes, shape, kernel = QUANTISED[name]
    proto = model(*nodes, weights={"x": shape}, constants={**SCALES, "w": kernel})
    assert_counts(proto, made={"w": kernel.shape})


CAST = node("Cast m -> f", to=TensorProto.FLOAT)
DYNAMIC = ["DynamicQuantizeLinear x -> q,d,n", "MatMulInteger q,w,n -> m", CAST]
SCALED: dict[str, list[Any]] = {
    "scales first": [*DYNAMIC, "Mul d,s -> t", "Mul f,t -> y"],
    "scales first, the other way round": [*DYNAMIC, "Mul s,d -> t", "Mul t,f -> y"],
    "one after the other": [*DYNAMIC, "Mul f,d -> t", "Mul t,s -> y"],
    "weight first": [*DYNAMIC, "Mul s,f -> t", "Mul d,t -> y"],
    "the scale reshaped": [*DYNAMIC, "Unsqueeze s,zero -> r", "Mul d,r -> t", "Mul f,t -> y"],
    "its own scale afterwards": [*DYNAMIC, "Mul d,s -> t", "Mul f,t -> u", "Mul u,gamma -> y"],
    "a bias": [*DYNAMIC, "Mul d,s -> t", "Mul f,t -> u", "Add u,gamma -> y"],
    "written out": [
        node("Cast w -> f", to=TensorProto.FLOAT),
        "Mul f,s -> v",
        "MatMul x,v -> y",
    ],
    "written out with a zero point": [
        node("Cast w -> f", to=TensorProto.FLOAT),
        "Sub f,z -> g",
        "Mul g,s -> u",
        "Mul u,gamma -> v",
        "MatMul x,v -> y",
    ],
}


@pytest.mark.parametrize("name", SCALED)
def test_scales_of_quantised_weights_are_no_parameters(name: str) -> None:
    """With the whole operator it is the same: `test_quantised_products` and DequantizeLinear."""
    proto = model(
        *SCALED[name],
        inputs={"x": (1, 2)},
        weights={"s": (3,), "gamma": (3,), "z": (3,)},
        constants={"w": np.arange(6, dtype=np.uint8).reshape(2, 3), "zero": np.array([0])},
    )
    own = any("gamma" in one.input for one in proto.graph.node)
    network = unrolled.from_onnx(proto)
    assert {one.name for one in network.parameters} == ({"w", "gamma"} if own else {"w"})
    counts = unrolled.count(network)
    assert counts["w"].exact().tolist() == [[1] * 3] * 2
    assert "scale of a quantised weight" in network.provenance.skipped["s"]


def test_integers_that_are_cast_but_not_scaled_are_constants() -> None:
    """Such as a mask."""
    nodes = [node("Cast w -> f", to=TensorProto.FLOAT), "Mul f,x -> y"]
    mask = np.ones((2, 3), np.uint8)
    proto = model(*nodes, weights={"x": (2, 3)}, constants={"w": mask})
    assert counts_of(proto) == {"x": [[1] * 3] * 2}


def test_a_scale_in_a_loop() -> None:
    """The weight is dequantised anew in every step."""
    nodes = [node("Cast w -> f", to=TensorProto.FLOAT), "Mul f,s -> v", "MatMul h,v -> t"]
    body = subgraph("Identity c -> d", *nodes, inputs="i,c,h", outputs="d,t")
    proto = model(
        node("Loop n,,x -> y", body=body),
        inputs={"x": (1, 2)},
        weights={"s": (2,)},
        constants={"w": np.ones((2, 2), np.int8), "n": np.array(2)},
    )
    assert counts_of(proto) == {"w": [[3, 3], [3, 3]]}


CONSTANT_NODES: dict[str, list[Any]] = {
    "Range": ["Range zero,three,one -> c"],
    "Shape": ["Shape x -> s", node("Cast s -> f", to=TensorProto.FLOAT), "ReduceMax f -> c"],
    "Size": ["Size x -> s", node("Cast s -> c", to=TensorProto.FLOAT)],
    "EyeLike": ["EyeLike x -> c"],
    "RandomNormal": [node("RandomNormal -> c", shape=[3, 3])],
    "RandomUniform": [node("RandomUniform -> c", shape=[3, 3])],
    "RandomNormalLike": ["RandomNormalLike x -> c"],
    "RandomUniformLike": ["RandomUniformLike x -> c"],
    "Constant": [node("Constant -> c", value_floats=[1.0, 2.0, 3.0])],
}


@pytest.mark.parametrize("name", CONSTANT_NODES)
def test_constants_have_no_paths(name: str) -> None:
    numbers = {"zero": np.float32(0), "one": np.float32(1), "three": np.float32(3)}
    nodes = [*CONSTANT_NODES[name], "Mul x,c -> y"]
    network = assert_counts(model(*nodes, weights={"x": (3, 3)}, constants=numbers))
    assert network.num_parameters == 9


def external(tmp_path: Path, location: str, name: str = "w") -> Path:
    """A file of DENSE, one of whose tensors has its data elsewhere."""
    proto = ModelProto()
    proto.CopyFrom(DENSE)
    (tensor,) = [one for one in proto.graph.initializer if one.name == name]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_external_weights_need_not_be_there(tmp_path: Path) -> None:
    path = external(tmp_path, "nowhere.bin")
    network = unrolled.from_onnx(path)
    assert network.name == "model"
    assert network.num_parameters == 16


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "/etc/passwd",
        "a/../../b",
        "C:\\windows\\data",
        "\\\\server\\share",
        "..\\x",
    ],
)
def test_external_data_outside_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(InvalidModelError, match="outside of the folder"):
        unrolled.from_onnx(external(tmp_path, location))


@pytest.mark.parametrize("is_there", [True, False])
def test_external_integers_are_read(tmp_path: Path, is_there: bool) -> None:
    proto = model(
        "Reshape x,shape -> y", inputs={"x": (2, 6)}, constants={"shape": np.array([3, 4])}
    )
    tensor = proto.graph.initializer[0]
    if is_there:
        (tmp_path / "shape.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "shape.bin"
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    if is_there:
        assert unrolled.from_onnx(path).outputs[0].shape == (3, 4)
    else:
        with pytest.raises(InvalidModelError, match="not in the file"):
            unrolled.from_onnx(path)


def test_an_output_that_is_a_weight_or_an_input_or_named_twice() -> None:
    proto = model("Relu x -> r", inputs={"x": (2,)}, weights={"w": (3,)}, outputs="r,w,x,r")
    network = unrolled.from_onnx(proto)
    assert [tensor.shape for tensor in network.outputs] == [(2,), (3,), (2,)]
    assert counts_of(proto) == {"w": [1, 1, 1]}


def test_sparse_initializers_are_parameters() -> None:
    proto = model("MatMul x,w -> y", inputs={"x": (2, 3)}, weights={})
    values = numpy_helper.from_array(np.ones(2, np.float32), "w")
    places = numpy_helper.from_array(np.array([0, 5]), "places")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3, 4]))
    assert counts_of(proto) == {"w": [[2] * 4] * 3}


@pytest.mark.parametrize(
    ("net", "parameters"),
    [
        # As published, with the statistics of batch norms where there are any.
        ("bvlc_alexnet", 60_965_224),
        ("squeezenet", 1_235_496),
        ("vgg19", 143_667_240),
    ],
)
def test_nets_that_come_with_onnx(net: str, parameters: int) -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    path = folder / f"light_{net}.onnx"
    if not path.exists():
        pytest.skip("this onnx comes without its nets")
    assert unrolled.from_onnx(path).num_parameters == parameters


def test_resnet_50_that_comes_with_onnx() -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    path = folder / "light_resnet50.onnx"
    if not path.exists():
        pytest.skip("this onnx comes without its nets")
    found = unrolled.analyze(unrolled.from_onnx(path))
    expected = unrolled.analyze(unrolled.models.resnet(50, variant="v1.5"))
    assert found.num_parameters == expected.num_parameters
    assert found.total_contexts == expected.total_contexts
