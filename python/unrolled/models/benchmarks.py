"""The networks of three published benchmarks of architectures, built from the benchmarks' strings.

A space of architectures is a list of choices. `SearchSpace` knows how a string spells them, builds
the network of one architecture, and builds the network of all of them at once, in which every
choice is made by opening links. Published accuracies are in `unrolled.scores.benchmarks`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from unrolled._core import Operation
from unrolled.errors import InvalidArgumentError
from unrolled.models.blocks import image, positive

if TYPE_CHECKING:
    from unrolled.network.network import Network, Tensor

__all__ = [
    "NASBENCH201",
    "NASBENCH_MACRO",
    "SPACES",
    "TRANSNASBENCH_MICRO",
    "SearchSpace",
    "Supernet",
    "nasbench201",
    "nasbench_macro",
    "transnasbench_micro",
]

Choices: TypeAlias = tuple[int, ...]
"""One architecture, by the option that it takes at each place of choice."""

Options: TypeAlias = Sequence[Sequence[int]]
"""The options to build at each place of choice; one each for one architecture."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The edges of a cell of four nodes, in the order in which strings name their operations."""

ABSENT = "none"


class Supernet(NamedTuple):
    """All architectures of a space as one network.

    Attributes
    ----------
    network : Network
    gates : list of pairs of int, or None
        For every link of the network the place and the option that open it, None if it is always
        open.
    """

    network: Network
    gates: list[tuple[int, int] | None]


class SearchSpace(ABC):
    """A space of architectures: places of choice, options, and how networks follow from them.

    Attributes
    ----------
    name : str
        Its name in `unrolled.evaluate`.
    options : tuple of tuple of str
        The options at each place.
    """

    name: str
    options: tuple[tuple[str, ...], ...]

    @abstractmethod
    def parse(self, architecture: str) -> Choices:
        """The choices that a benchmark's string spells.

        Raises
        ------
        InvalidArgumentError
            Something else than a string of the benchmark.
        """

    @abstractmethod
    def spell(self, choices: Choices) -> str:
        """The benchmark's string of an architecture; the opposite of `parse`."""

    @abstractmethod
    def fill(self, net: Network, options: Options, operands: _Operands) -> None:
        """Build the network of the options at each place."""

    def architectures(self) -> Iterator[Choices]:
        """All architectures, the last place changing fastest."""
        return product(*(range(len(options)) for options in self.options))

    def build(self, architecture: str, name: str | None = None) -> Network:
        """The network of one architecture; see `parse` for what is refused."""
        from unrolled.network.network import Network

        choices = self.parse(architecture)
        net = Network(f"{self.name} {architecture}" if name is None else name)
        self.fill(net, [(choice,) for choice in choices], _Operands(net))
        return net

    def supernet(self) -> Supernet:
        """The network of all architectures, with the links that each choice opens."""
        from unrolled.network.network import Network

        net = Network(self.name)
        operands = _Operands(net)
        self.fill(net, [range(len(options)) for options in self.options], operands)
        waiting = {
            target: [None if place is None else (place, option) for place, option in chosen]
            for target, chosen in operands.chosen.items()
        }
        gates: list[tuple[int, int] | None] = []
        for link in net.links:
            is_chosen = link.target.id in waiting
            gates.append(waiting[link.target.id].pop(0) if is_chosen else None)
        return Supernet(net, gates)


class _Operands:
    """Adds up what several options compute, and remembers which option each operand is of."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.chosen: dict[int, list[tuple[int | None, int]]] = {}

    def add(
        self,
        operands: Sequence[tuple[int | None, int, Tensor]],
        shape: tuple[int, ...],
        name: str,
        *,
        is_choice: bool,
    ) -> Tensor:
        """The sum of operands, each given with its place and option; zeros if there is none.

        One operand alone is its own sum, unless it is only there if it is chosen.
        """
        if not operands:
            return self.net.tensor(name, shape, operation=Operation("sum"))
        tensors = [tensor for _, _, tensor in operands]
        if len(tensors) == 1 and not is_choice:
            return tensors[0]
        total = self.net.add(*tensors, name=name)
        self.chosen[total.id] = [(place, option) for place, option, _ in operands]
        return total


def _conv_norm(
    net: Network, x: Tensor, channels: int, size: int, name: str, stride: int = 1
) -> Tensor:
    x = net.conv(
        x, channels, size, stride=stride, padding="symmetric", use_bias=False, name=f"{name}.conv"
    )
    return net.batch_norm(x, name=f"{name}.norm")


def _relu_conv_norm(
    net: Network, x: Tensor, channels: int, size: int, name: str, stride: int = 1
) -> Tensor:
    x = net.activation(x, name=f"{name}.relu")
    return _conv_norm(net, x, channels, size, name, stride)


def _classify(net: Network, x: Tensor, classes: int) -> None:
    x = net.global_pool(x, name="pool")
    net.output(net.dense(x, classes, name="classifier"))


class _Cells(SearchSpace):
    """Spaces of cells of four nodes, whose edges have operations."""

    operations: tuple[str, ...]

    def cell(
        self,
        x: Tensor,
        channels: int,
        stride: int,
        options: Options,
        operands: _Operands,
        name: str,
    ) -> Tensor:
        """A cell: each node is the sum of what the edges into it compute."""
        net, nodes = operands.net, [x]
        is_choice = any(len(chosen) > 1 for chosen in options)
        shape = (channels, *(-(-length // stride) for length in x.shape[1:]))
        for target in (1, 2, 3):
            into: list[tuple[int | None, int, Tensor]] = []
            for place, (source, end) in enumerate(EDGES):
                if end != target:
                    continue
                step = stride if source == 0 else 1
                for option in options[place]:
                    operation = self.operations[option]
                    if operation == ABSENT:
                        continue
                    edge = f"{name}.{operation}{source}{target}"
                    y = self.operate(net, nodes[source], operation, channels, step, edge)
                    into.append((place, option, y))
            node = operands.add(into, shape, f"{name}.node{target}", is_choice=is_choice)
            nodes.append(node)
        return nodes[3]

    @abstractmethod
    def operate(
        self, net: Network, x: Tensor, operation: str, channels: int, stride: int, name: str
    ) -> Tensor:
        """What one operation makes of a node."""

    def refuse(self, architecture: object, form: str) -> InvalidArgumentError:
        """The error for a string of another form."""
        return InvalidArgumentError(
            f"{self.name}: expected an architecture such as {form}, got {architecture!r}"
        )


class _NasBench201(_Cells):
    name = "nasbench201"
    operations = (ABSENT, "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
    options = (operations,) * len(EDGES)
    EXAMPLE = "'|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|'"
    WIDTHS = (16, 32, 64)
    CELLS = 5

    def __init__(self, classes: int = 10, size: int = 32) -> None:
        self.classes = positive(f"{self.name}: classes", classes)
        self.size = size

    def parse(self, architecture: str) -> Choices:
        nodes = architecture.split("+") if isinstance(architecture, str) else []
        found = [node.strip("|").split("|") for node in nodes]
        named = [operation.rpartition("~") for node in found for operation in node]
        order = [source for _, _, source in named]
        if order != [str(source) for source, _ in EDGES] or [len(n) for n in found] != [1, 2, 3]:
            raise self.refuse(architecture, self.EXAMPLE)
        unknown = [name for name, _, _ in named if name not in self.operations]
        if unknown:
            raise InvalidArgumentError(
                f"{self.name}: unknown operation {unknown[0]!r}; "
                f"known are {', '.join(self.operations)}"
            )
        return tuple(self.operations.index(name) for name, _, _ in named)

    def spell(self, choices: Choices) -> str:
        named = [
            f"{self.operations[choice]}~{source}"
            for choice, (source, _) in zip(choices, EDGES, strict=True)
        ]
        nodes = named[:1], named[1:3], named[3:]
        return "+".join(f"|{'|'.join(node)}|" for node in nodes)

    def operate(
        self, net: Network, x: Tensor, operation: str, channels: int, stride: int, name: str
    ) -> Tensor:
        if operation == "skip_connect":
            return x
        if operation == "avg_pool_3x3":
            return net.average_pool(x, 3, stride=1, padding="symmetric", name=name)
        return _relu_conv_norm(net, x, channels, int(operation[-1]), name)

    def fill(self, net: Network, options: Options, operands: _Operands) -> None:
        x = _conv_norm(net, image(net, 3, self.size), self.WIDTHS[0], 3, "stem")
        for stage, channels in enumerate(self.WIDTHS, 1):
            if stage > 1:
                x = self._reduce(net, x, channels, f"reduction{stage - 1}")
            for cell in range(1, self.CELLS + 1):
                x = self.cell(x, channels, 1, options, operands, f"stage{stage}.cell{cell}")
        x = net.activation(net.batch_norm(x, name="last.norm"), name="last.relu")
        _classify(net, x, self.classes)

    @staticmethod
    def _reduce(net: Network, x: Tensor, channels: int, name: str) -> Tensor:
        """A residual block that halves the map."""
        y = _relu_conv_norm(net, x, channels, 3, f"{name}.first", stride=2)
        y = _relu_conv_norm(net, y, channels, 3, f"{name}.second")
        x = net.average_pool(x, 2, name=f"{name}.shortcut.pool")
        x = net.conv(x, channels, 1, use_bias=False, name=f"{name}.shortcut.conv")
        return net.add(x, y, name=f"{name}.add")


class _TransNasBenchMicro(_Cells):
    name = "transnasbench_micro"
    operations = (ABSENT, "identity", "conv1x1_", "conv3x3_")
    options = (operations,) * len(EDGES)
    STEM = 32
    BASE = 64
    MODULES = "41414"
    CELLS = 2
    SIZE = 256

    def __init__(self, classes: int = 47) -> None:
        self.classes = classes

    def parse(self, architecture: str) -> Choices:
        form = rf"{self.BASE}-{self.MODULES}-([0-3])_([0-3]{{2}})_([0-3]{{3}})"
        match = re.fullmatch(form, architecture) if isinstance(architecture, str) else None
        if match is None:
            raise self.refuse(architecture, "'64-41414-3_21_013', with digits of 0 to 3")
        return tuple(int(digit) for digit in "".join(match.groups()))

    def spell(self, choices: Choices) -> str:
        digits = "".join(map(str, choices))
        return f"{self.BASE}-{self.MODULES}-{digits[:1]}_{digits[1:3]}_{digits[3:]}"

    def operate(
        self, net: Network, x: Tensor, operation: str, channels: int, stride: int, name: str
    ) -> Tensor:
        if operation == "identity":
            if stride == 1 and x.shape[0] == channels:
                return x
            return self._reduce(net, x, channels, stride, name)
        return _relu_conv_norm(net, x, channels, int(operation[4]), name, stride)

    @staticmethod
    def _reduce(net: Network, x: Tensor, channels: int, stride: int, name: str) -> Tensor:
        """Two 1 x 1 convolutions, the second on positions in between those of the first."""
        x = net.activation(x, name=f"{name}.relu")
        parts = []
        for shift in range(stride):
            y = net.slice(x, 1, shift, None, stride, name=f"{name}.shift{shift}.rows")
            y = net.slice(y, 2, shift, None, stride, name=f"{name}.shift{shift}.columns")
            part = f"{name}.shift{shift}"
            parts.append(net.conv(y, channels // stride, 1, use_bias=False, name=f"{part}.conv"))
        return net.batch_norm(net.concat(parts, name=f"{name}.concat"), name=f"{name}.norm")

    def fill(self, net: Network, options: Options, operands: _Operands) -> None:
        x = _conv_norm(net, image(net, 3, self.SIZE), self.STEM, 3, "stem.first", stride=2)
        channels = self.BASE
        x = _relu_conv_norm(net, x, channels, 3, "stem.second", stride=2)
        for number, kind in enumerate(self.MODULES, 1):
            for cell in range(1, self.CELLS + 1):
                reduces = kind == "4" and cell == 1
                channels *= 2 if reduces else 1
                name = f"module{number}.cell{cell}"
                x = self.cell(x, channels, 2 if reduces else 1, options, operands, name)
        _classify(net, x, self.classes)


class _NasBenchMacro(SearchSpace):
    name = "nasbench_macro"
    LAYERS = (2, 3, 3)
    BLOCKS: tuple[tuple[int, int] | None, ...] = (None, (3, 3), (6, 5))
    """Expansion and kernel size of each option; the first is the identity."""

    options = (("identity", "expand3_kernel3", "expand6_kernel5"),) * sum(LAYERS)
    STEM = 32
    LAST = 1280
    SIZE = 32
    CLASSES = 10

    def parse(self, architecture: str) -> Choices:
        is_known = isinstance(architecture, str) and re.fullmatch("[012]{8}", architecture)
        if not is_known:
            raise InvalidArgumentError(
                f"{self.name}: expected eight digits of 0 to 2, such as '01201201', "
                f"got {architecture!r}"
            )
        return tuple(int(digit) for digit in architecture)

    def spell(self, choices: Choices) -> str:
        return "".join(map(str, choices))

    def fill(self, net: Network, options: Options, operands: _Operands) -> None:
        x = _conv_norm(net, image(net, 3, self.SIZE), self.STEM, 3, "stem")
        x = net.activation(x, name="stem.relu")
        channels, place = self.STEM, 0
        for layers in self.LAYERS:
            channels *= 2
            for layer in range(layers):
                stride = 2 if layer == 0 else 1
                into: list[tuple[int | None, int, Tensor]] = []
                name = f"layer{place + 1}"
                for option in options[place]:
                    y = self._block(net, x, channels, stride, option, f"{name}.option{option}")
                    into.append((place, option, y))
                is_choice = len(options[place]) > 1
                x = operands.add(into, x.shape, f"{name}.choice", is_choice=is_choice)
                place += 1
        x = net.activation(_conv_norm(net, x, self.LAST, 1, "last"), name="last.relu")
        _classify(net, x, self.CLASSES)

    def _block(
        self, net: Network, x: Tensor, channels: int, stride: int, option: int, name: str
    ) -> Tensor:
        has_shortcut = stride == 1 and x.shape[0] == channels
        block = self.BLOCKS[option]
        if block is None:
            return x if has_shortcut else _conv_norm(net, x, channels, 1, name, stride)
        expansion, size = block
        y = _conv_norm(net, x, x.shape[0] * expansion, 1, f"{name}.expand")
        y = net.activation(y, name=f"{name}.expand.relu")
        y = net.depthwise_conv(
            y, size, stride=stride, padding="symmetric", use_bias=False, name=f"{name}.spatial.conv"
        )
        y = net.batch_norm(y, name=f"{name}.spatial.norm")
        y = net.activation(y, name=f"{name}.spatial.relu")
        y = _conv_norm(net, y, channels, 1, f"{name}.reduce")
        return net.add(x, y, name=f"{name}.add") if has_shortcut else y


NASBENCH201 = _NasBench201()
NASBENCH_MACRO = _NasBenchMacro()
TRANSNASBENCH_MICRO = _TransNasBenchMicro()

SPACES: dict[str, SearchSpace] = {
    space.name: space for space in (NASBENCH201, NASBENCH_MACRO, TRANSNASBENCH_MICRO)
}
"""The spaces by name."""

CLASSES = {"class_scene": 47, "class_object": 75}
"""Classes of the tasks of TransNAS-Bench-101 whose networks end with a classifier alone."""


def nasbench201(architecture: str, *, classes: int = 10, size: int = 32) -> Network:
    """A network of NAS-Bench-201: fifteen equal cells in three stages.

    An edge with the operation "none" is left out. A node that no edge leads to is zero.

    Parameters
    ----------
    architecture : str
        As the benchmark spells it: operations of the edges into each node with their sources.
    classes : int
        10 for CIFAR-10, 100 for CIFAR-100, 120 for ImageNet-16-120.
    size : int
        Side of the image in pixels: 32, and 16 for ImageNet-16-120.

    Returns
    -------
    Network

    Raises
    ------
    InvalidArgumentError
        A string that spells no architecture, or a size or number of classes that is not positive.

    References
    ----------
    X. Dong, Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
    Search", ICLR 2020.

    Examples
    --------
    >>> import unrolled
    >>> arch = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> unrolled.models.nasbench201(arch).num_outputs
    10
    """
    return _NasBench201(classes, size).build(architecture)


def nasbench_macro(architecture: str) -> Network:
    """A network of NAS-Bench-Macro: eight layers of mobile blocks.

    Parameters
    ----------
    architecture : str
        Eight digits: 0 for the identity, which is a 1 x 1 convolution where the shape changes; 1
        for a block that expands channels threefold around a 3 x 3 kernel, 2 for sixfold around a
        5 x 5 kernel.

    Returns
    -------
    Network

    Raises
    ------
    InvalidArgumentError
        A string that spells no architecture.

    References
    ----------
    X. Su et al., "Prioritized Architecture Sampling with Monte-Carlo Tree Search", CVPR 2021.

    Examples
    --------
    >>> import unrolled
    >>> unrolled.models.nasbench_macro("01201201").num_inputs
    3072
    """
    return NASBENCH_MACRO.build(architecture)


def transnasbench_micro(
    architecture: str, task: Literal["class_scene", "class_object"] = "class_scene"
) -> Network:
    """A network of the cell-based space of TransNAS-Bench-101.

    Parameters
    ----------
    architecture : str
        As the benchmark spells it, "64-41414-a_bc_def": operations of the edges into each node, 0
        for none, 1 for the identity, 2 and 3 for convolutions of 1 x 1 and 3 x 3.
    task : {"class_scene", "class_object"}
        The tasks whose networks end with one classifier. Other tasks have heads of their own on
        the same ten cells, and are not built.

    Returns
    -------
    Network

    Raises
    ------
    InvalidArgumentError
        A string that spells no architecture, or another task.

    References
    ----------
    Y. Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of
    Cross-Task Neural Architecture Search", CVPR 2021.

    Examples
    --------
    >>> import unrolled
    >>> unrolled.models.transnasbench_micro("64-41414-3_21_013").num_outputs
    47
    """
    if task not in CLASSES:
        raise InvalidArgumentError(
            f"transnasbench_micro: task must be one of {', '.join(CLASSES)}, got {task!r}; other "
            "tasks have heads that are not built"
        )
    return _TransNasBenchMicro(CLASSES[task]).build(architecture)
