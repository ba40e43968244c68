"""Published spaces of cells in which one place decides over many links: NAS-Bench-101, DARTS."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

from unrolled.errors import InvalidNetworkError
from unrolled.models.blocks import image, positive
from unrolled.network.network import Network, Tensor
from unrolled.search.space import Space

__all__ = ["darts", "nasbench101"]

VERTICES = 7
MOST_EDGES = 9
OPERATIONS_101 = ("conv1x1", "conv3x3", "maxpool3x3")
STEM, STACKS, MODULES = 128, 3, 3
PAIRS = tuple(combinations(range(VERTICES), 2))


def nasbench101() -> Space:
    """NAS-Bench-101: cells of up to seven vertices and nine edges, given by their matrices.

    Places are the 21 edges that a cell may have, such as "edge02" with the options "0" and "1", and
    what each of the five vertices in between computes. Matrices of more than nine edges, or without
    a path, are not valid. A vertex that is on no path is left out, so many rows are one cell: of
    the 509,607,936 rows, about 423,000 differ.

    References
    ----------
    C. Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019.

    Examples
    --------
    >>> from unrolled import search
    >>> search.nasbench101()
    Space('nasbench101', 509,607,936 architectures, 26 places)
    """
    choices: dict[str, Sequence[int | str]] = {f"edge{a}{b}": (0, 1) for a, b in PAIRS}
    choices.update({f"vertex{vertex}": OPERATIONS_101 for vertex in range(1, VERTICES - 1)})
    return Space.from_function(_build_101, choices, name="nasbench101")


def _build_101(**options: int | str) -> Network:
    edges = {pair for pair in PAIRS if options[f"edge{pair[0]}{pair[1]}"]}
    if len(edges) > MOST_EDGES:
        raise InvalidNetworkError(f"{len(edges)} edges; a cell may have {MOST_EDGES}")
    last = VERTICES - 1
    from_input, to_output = {0}, {last}
    for a, b in sorted(edges):
        if a in from_input:
            from_input.add(b)
    for a, b in sorted(edges, reverse=True):
        if b in to_output:
            to_output.add(a)
    kept = from_input & to_output
    edges = {(a, b) for a, b in edges if a in kept and b in kept}
    if not edges:
        raise InvalidNetworkError("no path leads from the input of the cell to its output")
    operations = [str(options[f"vertex{vertex}"]) for vertex in range(1, last)]
    net = Network("nasbench101")
    channels = STEM
    x = _conv_norm_relu(net, image(net, 3, 32), channels, 3, "stem")
    for stack in range(STACKS):
        if stack > 0:
            x = net.max_pool(x, 2, name=f"downsample{stack}")
            channels *= 2
        for module in range(MODULES):
            name = f"stack{stack + 1}.module{module + 1}"
            x = _module_101(net, x, channels, edges, operations, name)
    net.output(net.dense(net.global_pool(x, name="pool"), 10, name="classifier"))
    return net


def _module_101(
    net: Network,
    x: Tensor,
    channels: int,
    edges: set[tuple[int, int]],
    operations: Sequence[str],
    name: str,
) -> Tensor:
    last = VERTICES - 1
    widths = _widths_101(channels, edges)
    found: dict[int, Tensor] = {0: x}
    for vertex in range(1, last):
        sources = [a for a, b in sorted(edges) if b == vertex]
        if not sources:
            continue
        at = f"{name}.vertex{vertex}"
        terms = []
        for source in sources:
            if source == 0:
                terms.append(_conv_norm_relu(net, x, widths[vertex], 1, f"{at}.projection"))
            else:
                narrow = f"{at}.from{source}"
                terms.append(_truncated(net, found[source], widths[vertex], narrow))
        y = terms[0] if len(terms) == 1 else net.add(*terms, name=f"{at}.sum")
        operation = operations[vertex - 1]
        if operation == "maxpool3x3":
            y = net.max_pool(y, 3, stride=1, padding="same", name=f"{at}.pool")
        else:
            y = _conv_norm_relu(net, y, widths[vertex], int(operation[-1]), at)
        found[vertex] = y
    ends = [found[a] for a, b in sorted(edges) if b == last and a != 0]
    result = None
    if ends:
        result = ends[0] if len(ends) == 1 else net.concat(ends, name=f"{name}.concat")
    if (0, last) in edges:
        through = _conv_norm_relu(net, x, channels, 1, f"{name}.projection")
        result = through if result is None else net.add(result, through, name=f"{name}.sum")
    if result is None:
        raise InvalidNetworkError("no path leads from the input of the cell to its output")
    return result


def _widths_101(channels: int, edges: set[tuple[int, int]]) -> dict[int, int]:
    """Channels of every vertex in between: ends share those of the output, others need enough."""
    last = VERTICES - 1
    ends = [a for a, b in sorted(edges) if b == last and a != 0]
    widths = {}
    for number, vertex in enumerate(ends):
        each, more = divmod(channels, len(ends))
        widths[vertex] = each + (number < more)
    for vertex in range(last - 1, 0, -1):
        if vertex not in widths:
            widths[vertex] = max(
                (widths[b] for a, b in edges if a == vertex and b != last), default=0
            )
    return widths


def _truncated(net: Network, x: Tensor, channels: int, name: str) -> Tensor:
    return x if x.shape[0] == channels else net.slice(x, 0, 0, channels, name=name)


def _conv_norm_relu(net: Network, x: Tensor, channels: int, size: int, name: str) -> Tensor:
    x = net.conv(x, channels, size, padding="same", use_bias=False, name=f"{name}.conv")
    return net.activation(net.batch_norm(x, name=f"{name}.norm"), name=f"{name}.relu")


OPERATIONS_DARTS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NODES = 4


def darts(*, cells: int = 20, channels: int = 36, classes: int = 10, size: int = 32) -> Space:
    """The space of DARTS: a normal and a reduction cell of four nodes with two inputs each.

    For each node and each of the two kinds of cells there is a place for its pair of inputs, such
    as "normal.node2.inputs" (the two cells before are "0" and "1"), and one for the operation on
    either. An eighth option of the original search, none, is never taken there. The auxiliary
    classifier is left out.

    Parameters
    ----------
    cells : int
        How many are stacked; those at one third and two thirds reduce the map.
    channels : int
        Of the first cells.
    classes : int
    size : int
        Of the image, in pixels.

    Raises
    ------
    InvalidArgumentError
        Numbers that are not positive.

    References
    ----------
    H. Liu, K. Simonyan, Y. Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.

    Examples
    --------
    >>> from unrolled import search
    >>> space = search.darts(cells=3, channels=8)
    >>> f"{space.size:.2e}", len(space.places)
    ('1.08e+18', 24)
    """
    count = positive("darts: cells", cells)
    width = positive("darts: channels", channels)
    net = Network("darts")
    x = image(net, 3, size)
    x = net.conv(x, 3 * width, 3, padding="symmetric", use_bias=False, name="stem.conv")
    before = x = net.batch_norm(x, name="stem.norm")
    was_reduced = False
    for cell in range(count):
        reduces = cell in (count // 3, 2 * count // 3) and cell > 0
        width *= 2 if reduces else 1
        before, x = x, _cell(net, before, x, width, reduces, was_reduced, f"cell{cell + 1}")
        was_reduced = reduces
    x = net.global_pool(x, name="pool")
    net.output(net.dense(x, positive("darts: classes", classes), name="classifier"))
    return Space(net)


def _cell(
    net: Network, before: Tensor, x: Tensor, width: int, reduces: bool, was_reduced: bool, name: str
) -> Tensor:
    kind = "reduction" if reduces else "normal"
    convolution = partial(_relu_conv_norm, net)
    if was_reduced:
        first = _factorized(net, before, width, f"{name}.before")
    else:
        first = convolution(before, width, f"{name}.before")
    states = [first, convolution(x, width, f"{name}.input")]
    for node in range(NODES):
        at = f"{name}.node{node + 1}"
        place = f"{kind}.node{node + 1}"
        pairs = list(combinations(range(len(states)), 2))
        labels = ["".join(map(str, pair)) for pair in pairs]
        edges = [
            _edge(net, state, 2 if reduces and source < 2 else 1, f"{at}.from{source}")
            for source, state in enumerate(states)
        ]
        terms = []
        for side in (0, 1):
            operated = {
                source: net.choice(
                    f"{at}.from{source}.operation{side + 1}",
                    edges[source],
                    place=f"{place}.operation{side + 1}",
                )
                for source in {pair[side] for pair in pairs}
            }
            options = {
                label: operated[pair[side]] for label, pair in zip(labels, pairs, strict=True)
            }
            terms.append(net.choice(f"{at}.input{side + 1}", options, place=f"{place}.inputs"))
        states.append(net.add(*terms, name=at))
    return net.concat(states[2:], name=name)


def _edge(net: Network, x: Tensor, stride: int, name: str) -> dict[str, Tensor]:
    """What each operation makes of a state."""
    width = x.shape[0]
    found: dict[str, Tensor] = {}
    for operation in OPERATIONS_DARTS:
        at = f"{name}.{operation}"
        size = 5 if operation.endswith("5x5") else 3
        if operation == "skip_connect":
            found[operation] = x if stride == 1 else _factorized(net, x, width, at)
        elif operation == "max_pool_3x3":
            found[operation] = net.max_pool(x, 3, stride=stride, padding="symmetric", name=at)
        elif operation == "avg_pool_3x3":
            found[operation] = net.average_pool(x, 3, stride=stride, padding="symmetric", name=at)
        elif operation.startswith("sep"):
            y = _separable(net, x, size, stride, 1, f"{at}.first")
            found[operation] = _separable(net, y, size, 1, 1, f"{at}.second")
        else:
            found[operation] = _separable(net, x, size, stride, 2, at)
    return found


def _separable(net: Network, x: Tensor, size: int, stride: int, dilation: int, name: str) -> Tensor:
    width = x.shape[0]
    x = net.activation(x, name=f"{name}.relu")
    x = net.depthwise_conv(
        x,
        size,
        stride=stride,
        dilation=dilation,
        padding=dilation * (size // 2),
        use_bias=False,
        name=f"{name}.depthwise",
    )
    x = net.conv(x, width, 1, use_bias=False, name=f"{name}.pointwise")
    return net.batch_norm(x, name=f"{name}.norm")


def _relu_conv_norm(net: Network, x: Tensor, width: int, name: str) -> Tensor:
    x = net.activation(x, name=f"{name}.relu")
    x = net.conv(x, width, 1, use_bias=False, name=f"{name}.conv")
    return net.batch_norm(x, name=f"{name}.norm")


def _factorized(net: Network, x: Tensor, width: int, name: str) -> Tensor:
    """Two 1 x 1 convolutions of stride two, the second on the positions in between."""
    x = net.activation(x, name=f"{name}.relu")
    parts = []
    for shift in (0, 1):
        y = net.slice(x, 1, shift, None, 2, name=f"{name}.shift{shift}.rows")
        y = net.slice(y, 2, shift, None, 2, name=f"{name}.shift{shift}.columns")
        channels = width // 2 if shift == 0 else width - width // 2
        parts.append(net.conv(y, channels, 1, use_bias=False, name=f"{name}.shift{shift}.conv"))
    return net.batch_norm(net.concat(parts, name=f"{name}.concat"), name=f"{name}.norm")
