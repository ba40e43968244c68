"""JAX functions as networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, InvalidModelError
from unrolled.importers.door import reading
from unrolled.importers.jax.arguments import Frozen, Inputs, Parameters
from unrolled.importers.jax.equation import Missing, Thing
from unrolled.importers.jax.lazy import made
from unrolled.importers.jax.liveness import inner_jaxpr, opened
from unrolled.importers.jax.quantisation import scaled_integers
from unrolled.importers.jax.rules import TABLE
from unrolled.importers.jax.tracer import RememberingTracer
from unrolled.importers.jax.walk import Walker
from unrolled.importers.tracing.values import Constant, Value
from unrolled.network.builder import Semantics
from unrolled.network.network import Network
from unrolled.network.provenance import Provenance

__all__ = ["from_jax", "operators", "rule"]

rule = TABLE.rule


def operators() -> tuple[str, ...]:
    """The primitives that have a rule, in alphabetical order.

    Those that only call another function, such as ``jit``, need none.

    Examples
    --------
    >>> from unrolled.importers import jax
    >>> "conv_general_dilated" in jax.operators()
    True
    """
    return tuple(TABLE)


def from_jax(
    function: Callable[..., Any],
    params: Any,
    *example_inputs: Any,
    name: str | None = None,
    semantics: Semantics = "value",
    operations: bool = False,
    frozen: Frozen = None,
) -> Network:
    """Read a JAX function as a network, from its jaxpr.

    Nothing is computed and no weight needs a value: shapes are enough, so models of any size can
    be read. Loops with a known number of steps are unrolled, their parameters tied. What nothing
    depends on is left out.

    Parameters
    ----------
    function : callable
        Called as ``function(params, *example_inputs)``: the ``apply`` of a Flax module, or any
        function that JAX can trace. In inference mode: random numbers are refused.
    params : pytree of arrays or jax.ShapeDtypeStruct
        Its floating-point leaves are the parameters, named by their path, such as
        ``params/Conv_0/kernel``. Other arrays, such as counters, are constants, and leaves that
        are no arrays are used as they are. Arrays that `function` has from elsewhere are constants
        as well, for JAX does not tell weights from other numbers there; those of some size are
        listed under ``skipped`` of `Network.provenance`.
    *example_inputs : pytree of arrays or jax.ShapeDtypeStruct
        The inputs of the model, batch axis included, integers too. Only their shapes and types
        matter.
    name : str, optional
        Of the network; by default that of the function.
    semantics : {"value", "dependency"}
        Which edges normalisers have; see `Network`.
    operations : bool
        Keep functions of single elements and normalisers as tensors of their own, as `propagate`
        needs them. Counts are the same, lengths are not.
    frozen : callable, str, or collection of str, optional
        Which parameters are not trainable: a function of the name, or names and their beginnings
        up to a "/". By default ``batch_stats``, and variables of Flax NNX other than ``Param``.

    Returns
    -------
    Network

    Raises
    ------
    MissingPackageError
        The package jax is not installed.
    InvalidArgumentError
        Arguments of other kinds than these.
    InvalidModelError
        A function that JAX cannot trace, whose results depend on no input and no parameter, or
        that takes too many steps.
    UnsupportedOperatorError
        Primitives without a rule, or in a case that is not covered; all of them are named. See
        `rule`.

    Examples
    --------
    >>> import jax
    >>> from unrolled.importers.jax import from_jax
    >>> def dense(params, x):
    ...     return jax.nn.gelu(x @ params["kernel"] + params["bias"])
    >>> shape = lambda *lengths: jax.ShapeDtypeStruct(lengths, "float32")
    >>> from_jax(dense, {"kernel": shape(8, 4), "bias": shape(4)}, shape(1, 8))
    Network('dense', 36 parameters, 8 inputs, 4 outputs)
    """
    jax = import_optional("jax", "jax", "reading JAX functions")
    if not callable(function):
        raise InvalidArgumentError(
            f"from_jax() takes a function of parameters and inputs, got {described(function)}"
        )
    source = f"JAX function {_name(function)}"
    with reading(source):
        network = Network(_name(function) if name is None else name, semantics=semantics)
        tracer = RememberingTracer(network, operations=operations)
        return _built(jax, function, params, example_inputs, source, tracer, frozen)


def _built(
    jax: Any,
    function: Callable[..., Any],
    params: Any,
    example_inputs: tuple[Any, ...],
    source: str,
    tracer: RememberingTracer,
    frozen: Frozen,
) -> Network:
    network = tracer.network
    parameters = Parameters(params, frozen)
    inputs = Inputs(function, example_inputs, set(parameters.names))

    def trace(of: Parameters) -> Any:
        def traced(weights: list[Any], arguments: tuple[Any, ...]) -> Any:
            return function(of.tree(weights), *arguments)

        return jax.make_jaxpr(traced)(of.structs, inputs.structs)

    try:
        if parameters.integers:
            parameters = Parameters(params, frozen, _quantised(parameters.integers, trace, params))
        closed = trace(parameters)
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidModelError(
            f"JAX cannot trace it with these arguments: {type(error).__name__}: {error}"
        ) from error
    walker = Walker(tracer, TABLE)
    things: list[Thing] = []
    for key, struct in zip(parameters.traced_names, parameters.structs, strict=True):
        trainable = parameters.trainable.get(key)
        things.append(
            Constant(struct.shape)
            if trainable is None
            else _parameter(tracer, key, struct.shape, trainable, parameters)
        )
    for key, shape, is_key in zip(inputs.names, inputs.shapes, inputs.are_keys, strict=True):
        # An input may be empty, as a cache of keys and values is at first.
        is_constant = is_key or 0 in shape
        things.append(Constant(shape) if is_constant else tracer.input(key, shape))
    results = walker.closed(closed, things, [True] * len(closed.jaxpr.outvars))
    walker.unsupported.check(source)
    repeated = _mark_outputs(walker, closed.jaxpr, results)
    used = {tensor.name: tensor.size for tensor in network.parameters}
    skipped = {**parameters.skipped, **walker.skipped, **tracer.notes, **repeated}
    skipped.update({key: "not used" for key in parameters.trainable if key not in used})
    skipped.update(
        {name: tracer.notes[name] for name in parameters.trainable if name in tracer.notes}
    )
    for key, is_key in zip(inputs.names, inputs.are_keys, strict=True):
        if is_key:
            skipped[key] = "key of random numbers"
    provenance = Provenance(
        source,
        "jax",
        jax.__version__,
        network.semantics,
        {tensor.name: tensor.shape for tensor in network.inputs},
        dict(walker.operators),
        used,
        skipped,
        operations=tracer.operations,
    )
    network.record_provenance(provenance)
    return network


def _quantised(names: list[str], trace: Callable[[Parameters], Any], params: Any) -> set[str]:
    """Which parameters of small integers are quantised weights."""
    trial = Parameters(params, None, names)
    try:
        jaxpr = trace(trial).jaxpr
    except MemoryError:
        raise
    except Exception:  # A function that needs their values, whatever it raises without them.
        return set()
    places = {name: at for at, name in enumerate(trial.traced_names)}
    floats = [at for name, at in places.items() if name in trial.trainable and name not in names]
    return scaled_integers(jaxpr, {name: places[name] for name in names}, floats)


def _parameter(
    tracer: RememberingTracer,
    name: str,
    shape: tuple[int, ...],
    trainable: bool,
    parameters: Parameters,
) -> Value:
    """A parameter; one of integers awaits its scale."""
    values = partial(parameters.values, name)
    value = tracer.parameter(name, shape, trainable=trainable, values=values)
    return replace(value, awaits_scale=True) if name in parameters.integers else value


def _mark_outputs(walker: Walker, jaxpr: Any, results: list[Thing]) -> dict[str, str]:
    """Mark the results; those that are returned twice are one output, which is noted."""
    marked: dict[Any, int] = {}
    repeated: dict[str, str] = {}
    walker.tracer.name = "result"
    for number, (atom, thing) in enumerate(zip(jaxpr.outvars, results, strict=True)):
        if isinstance(thing, (Constant, Missing)):
            continue
        first = marked.setdefault(_find_origin(jaxpr, atom), number)
        if first == number:
            walker.tracer.output(made(walker.tracer, thing))
        else:
            repeated[f"result {number}"] = f"the same as result {first}, which is one output"
    if not marked:
        raise InvalidModelError("its results depend on no input and no parameter")
    return repeated


def _find_origin(jaxpr: Any, atom: Any) -> tuple[Any, ...]:
    """Where a result is computed: the calls around it, and the variable in the innermost one."""
    calls: list[tuple[Any, Any]] = []  # Equations, and the jaxprs that they are in.
    while not hasattr(atom, "val"):
        if calls and atom in jaxpr.invars:
            equation, outer = calls.pop()
            atom, jaxpr = equation.invars[jaxpr.invars.index(atom)], outer
            continue
        equation = next((one for one in jaxpr.eqns if atom in one.outvars), None)
        called = None if equation is None else inner_jaxpr(equation)
        if equation is None or called is None or equation.primitive.name in TABLE:
            break
        calls.append((equation, jaxpr))
        jaxpr, at = opened(called)[0], equation.outvars.index(atom)
        atom = jaxpr.outvars[at]
    return (*[id(equation) for equation, _ in calls], atom)


def _name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    if owner is not None:  # The method of a module.
        function = type(owner)
    name = getattr(function, "__name__", type(function).__name__)
    return name if name.isprintable() and name != "<lambda>" else "function"
