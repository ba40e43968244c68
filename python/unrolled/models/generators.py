"""Generators of multi-layer perceptrons and plain convolutional networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from unrolled._support.arguments import checked_choice
from unrolled.errors import InvalidArgumentError, InvalidNetworkError
from unrolled.models.blocks import ImageSize, Padding, image, positive, resizable

if TYPE_CHECKING:
    from unrolled.network.network import Network, Tensor

__all__ = ["cnn", "mlp"]

Residual: TypeAlias = Literal["vanilla", "dense"]
RESIDUALS = ("vanilla", "dense")
Project: TypeAlias = "Callable[[Network, Tensor, Tensor, str], Tensor]"


def mlp(
    widths: int | Sequence[int],
    *,
    depth: int | None = None,
    inputs: int = 784,
    classes: int | None = 10,
    skip: int | None = None,
    residual: Residual = "vanilla",
    use_bias: bool = True,
    batch_norm: bool = False,
    name: str = "mlp",
) -> Network:
    """A multi-layer perceptron, with skip connections if wanted.

    Write ``x[0]`` for the input and ``f[d]`` for hidden layer d, counted from 1. Without skip
    connections its output is ``x[d] = f[d](x[d-1])``. With ``skip=n`` and "vanilla" residuals,
    every n-th layer also adds what was there n layers before: ``x[d] = f[d](x[d-1]) + x[d-n]``
    for d = n, 2n, ... With "dense" residuals every layer from the n-th on adds all outputs that
    lie a multiple of n layers before: ``x[d] = f[d](x[d-1]) + x[d-n] + x[d-2n] + ...``. A skip
    between different widths goes through a dense layer without bias.

    Parameters
    ----------
    widths : int or sequence of int
        Units of each hidden layer; one number for a constant width, with `depth` layers.
    depth : int, optional
        Number of hidden layers; needed for, and only for, a constant width.
    inputs : int
        Number of scalar inputs.
    classes : int, optional
        Logits of the dense layer at the end; None for no such layer, as in the published
        generator, where the last hidden layer is the output.
    skip : int, optional
        Layers a skip connection spans; None for no skip connections.
    residual : {"vanilla", "dense"}
    use_bias : bool
        Whether the hidden layers have biases, unless they have batch norms.
    batch_norm : bool
        Whether a batch norm follows each hidden layer, instead of a bias.
    name : str
        Name of the network.

    Returns
    -------
    Network
        Its layers are "layer1", "layer2", ... and "classifier".

    Raises
    ------
    InvalidArgumentError
        A size that is not a positive integer, a depth that does not go with the widths, or an
        unknown residual.

    References
    ----------
    A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without
    training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713.

    Examples
    --------
    >>> from unrolled import models
    >>> models.mlp(64, depth=5, skip=2)
    Network('mlp', 117,706 parameters, 784 inputs, 10 outputs)
    """
    from unrolled.network.network import Network

    units = _list_per_layer("mlp: widths", widths, _depth("mlp", depth, widths))
    net = Network(name)
    x = net.input((positive("mlp: inputs", inputs),))

    def hidden(x: Tensor, number: int) -> Tensor:
        layer = f"layer{number}"
        x = net.dense(x, units[number - 1], use_bias=use_bias and not batch_norm, name=layer)
        return net.batch_norm(x, name=f"{layer}.norm") if batch_norm else x

    x = _stack(net, x, len(units), hidden, _dense_projection, skip, residual)
    if classes is not None:
        x = net.dense(x, positive("mlp: classes", classes), name="classifier")
    net.output(x)
    return net


@resizable
def cnn(
    channels: int | Sequence[int],
    *,
    depth: int | None = None,
    size: ImageSize = 32,
    input_channels: int = 3,
    kernel_sizes: int | Sequence[int] = 3,
    strides: int | Sequence[int] = 1,
    padding: Padding = "symmetric",
    classes: int | None = 10,
    skip: int | None = None,
    residual: Residual = "vanilla",
    use_bias: bool = True,
    batch_norm: bool = False,
    head: Literal["pool", "flatten"] = "pool",
    name: str = "cnn",
) -> Network:
    """A plain convolutional network, with skip connections if wanted.

    Skip connections are those of `mlp`. One between different numbers of channels or image sizes
    goes through a 1 x 1 convolution without bias, with the stride between the two sizes.

    Parameters
    ----------
    channels : int or sequence of int
        Channels of each layer; one number for a constant width, with `depth` layers.
    depth : int, optional
        Number of layers; needed for, and only for, a constant width.
    size : int or (height, width)
        Of the input image in pixels.
    input_channels : int
    kernel_sizes, strides : int or sequence of int
        Of each layer, or one for all.
    padding : {"symmetric", "same", "valid"}
        See `Network.conv`.
    classes : int, optional
        Logits of the dense layer at the end; None for no such layer, as in the published
        generator, where the last features are the outputs.
    skip : int, optional
        Layers a skip connection spans; None for no skip connections.
    residual : {"vanilla", "dense"}
        See `mlp`.
    use_bias : bool
        Whether the layers have biases, unless they have batch norms.
    batch_norm : bool
        Whether a batch norm follows each layer, instead of a bias.
    head : {"pool", "flatten"}
        What comes before the classifier: global pooling, or all features in a row.
    name : str
        Name of the network.

    Returns
    -------
    Network
        Its layers are "layer1", "layer2", ... and "classifier".

    Raises
    ------
    InvalidArgumentError
        A size that is not a positive integer, numbers of channels, kernel sizes, strides and
        `depth` that do not go together, or an unknown residual, padding or head.
    InvalidNetworkError
        A kernel larger than its padded input, or a skip connection between image sizes that no
        stride makes equal.

    References
    ----------
    A. G. Polat, F. Alpaslan, "The reusability prior: comparing deep learning models without
    training", Mach. Learn.: Sci. Technol. (2023), doi 10.1088/2632-2153/acc713.

    Examples
    --------
    >>> from unrolled import models
    >>> models.cnn([16, 16, 32], strides=[1, 1, 2], skip=2, batch_norm=True)
    Network('cnn', 7,978 parameters, 3,072 inputs, 10 outputs)
    """
    from unrolled.network.network import Network

    layers = _depth("cnn", depth, channels)
    filters = _list_per_layer("cnn: channels", channels, layers)
    kernels = _list_per_layer("cnn: kernel_sizes", kernel_sizes, layers)
    steps = _list_per_layer("cnn: strides", strides, layers)
    checked_choice("cnn: padding", padding, ("symmetric", "same", "valid"))
    checked_choice("cnn: head", head, ("pool", "flatten"))
    net = Network(name)
    x = image(net, positive("cnn: input_channels", input_channels), size)

    def hidden(x: Tensor, number: int) -> Tensor:
        layer = f"layer{number}"
        x = net.conv(
            x,
            filters[number - 1],
            kernels[number - 1],
            stride=steps[number - 1],
            padding=padding,
            use_bias=use_bias and not batch_norm,
            name=layer,
        )
        return net.batch_norm(x, name=f"{layer}.norm") if batch_norm else x

    x = _stack(net, x, layers, hidden, _strided_projection, skip, residual)
    if classes is not None:
        x = net.global_pool(x, name="pool") if head == "pool" else net.flatten(x, name="flatten")
        x = net.dense(x, positive("cnn: classes", classes), name="classifier")
    net.output(x)
    return net


def _dense_projection(net: Network, source: Tensor, target: Tensor, layer: str) -> Tensor:
    return net.dense(source, target.shape[-1], use_bias=False, name=layer)


def _strided_projection(net: Network, source: Tensor, target: Tensor, layer: str) -> Tensor:
    """A 1 x 1 convolution with the stride between two image sizes."""
    sizes = zip(source.shape[1:], target.shape[1:], strict=True)
    strides = tuple([-(-before // after) for before, after in sizes])
    y = net.conv(
        source, target.shape[0], 1, stride=strides, padding="valid", use_bias=False, name=layer
    )
    if y.shape != target.shape:
        raise InvalidNetworkError(
            f"layer '{layer}': no stride makes {source.shape[1:]} into {target.shape[1:]}; "
            "choose sizes, strides and padding that do, or no skip connection here"
        )
    return y


def _stack(
    net: Network,
    x: Tensor,
    depth: int,
    hidden: Callable[[Tensor, int], Tensor],
    project: Project,
    skip: int | None,
    residual: str,
) -> Tensor:
    """Hidden layers with their skip connections; see `mlp` for the formulas."""
    checked_choice(f"{net.name}: residual", residual, RESIDUALS)
    span = depth + 1 if skip is None else positive(f"{net.name}: skip", skip)
    outputs = [x]
    for number in range(1, depth + 1):
        y = hidden(outputs[-1], number)
        if residual == "dense":
            sources = range(number - span, -1, -span)
        else:
            sources = range(number - span, number - span + (number % span == 0))
        skipped = []
        for source in sources:
            z = outputs[source]
            layer = f"layer{number}.skip{source}"
            skipped.append(z if z.shape == y.shape else project(net, z, y, layer))
        outputs.append(net.add(y, *skipped, name=f"layer{number}.add") if skipped else y)
    return outputs[-1]


def _depth(model: str, depth: int | None, widths: Any) -> int:
    """Number of layers, from `depth` or the length of a list of widths."""
    if isinstance(widths, Sequence) and not isinstance(widths, str):
        if depth is not None and depth != len(widths):
            raise InvalidArgumentError(
                f"{model}: depth={depth} with {len(widths)} widths; leave depth out"
            )
        if not widths:
            raise InvalidArgumentError(f"{model}: no layer; give at least one width")
        return len(widths)
    if depth is None:
        raise InvalidArgumentError(
            f"{model}: one width {widths!r} for all layers needs depth=, the number of layers"
        )
    return positive(f"{model}: depth", depth)


def _list_per_layer(what: str, values: int | Sequence[int], depth: int) -> list[int]:
    """One positive integer a layer."""
    if not isinstance(values, Sequence):
        return [positive(what, values)] * depth
    if len(values) != depth:
        raise InvalidArgumentError(f"{what}: expected {depth}, one a layer; got {len(values)}")
    return [positive(what, value) for value in values]
