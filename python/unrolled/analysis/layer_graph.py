"""`LayerGraph`: the layers of a model with the arrows between them, as a picture.

Graphviz draws it (the extra ``graphviz``, and its program ``dot``); Mermaid files need nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from unrolled._support import files
from unrolled._support.optional import import_optional
from unrolled.costs.operations import Flow
from unrolled.errors import InvalidArgumentError, MissingPackageError
from unrolled.printable import printable
from unrolled.show import tables
from unrolled.show.layers import LayerSummary, format_shape, taken_together

__all__ = ["LayerGraph", "LayerNode", "draw_layers"]

PALE, DEEP = (0xF3, 0xF6, 0xFA), (0x1F, 0x77, 0xB4)
"""Colours of no contexts and of the most, in red, green and blue."""

DARK = 0.55
"""From this part of the most contexts on, letters are white."""


class LayerNode(NamedTuple):
    """A box of the picture: an input, a layer, an operation, or a group of them."""

    name: str
    layer: LayerSummary | None

    @property
    def lines(self) -> list[str]:
        """What stands in the box."""
        if self.layer is None:
            return [printable(self.name)]
        about = [self.layer.kind, format_shape(self.layer.output_shape)]
        lines = [printable(self.name), ", ".join(one for one in about if one)]
        if self.layer.num_parameters:
            lines.append(f"{tables.integer(self.layer.num_parameters)} parameters")
            lines.append(f"log2 C {tables.bits(self.layer.log2_maximum, 1)}")
        return lines


class LayerGraph:
    """Layers, operations and inputs of a model, with arrows where data flows.

    Attributes
    ----------
    name : str
    nodes : tuple of LayerNode
    arrows : tuple of (int, int)
        By the places of the nodes.

    Examples
    --------
    >>> import unrolled
    >>> picture = unrolled.analyze(unrolled.models.mlp([4], inputs=3, classes=2)).graph()
    >>> [node.name for node in picture.nodes], picture.arrows
    (['input', 'layer1', 'classifier'], ((0, 1), (1, 2)))
    >>> print(picture.to_mermaid())
    flowchart TD
      n0("input")
      n1["layer1<br>dense, 4<br>16 parameters<br>log2 C 1.0"]
      n2["classifier<br>dense, 2<br>10 parameters<br>log2 C 0.0"]
      n0 --> n1
      n1 --> n2
      style n0 fill:#ffffff,color:#000000
      style n1 fill:#1f77b4,color:#ffffff
      style n2 fill:#f3f6fa,color:#000000
    """

    def __init__(
        self, name: str, nodes: Iterable[LayerNode], arrows: Iterable[tuple[int, int]]
    ) -> None:
        self.name = name
        self.nodes = tuple(nodes)
        self.arrows = tuple(arrows)

    def to_mermaid(self) -> str:
        """A flow chart for Mermaid, which many web pages draw by themselves."""
        lines = ["flowchart TD"]
        for at, node in enumerate(self.nodes):
            text = "<br>".join(map(_escape_for_mermaid, node.lines))
            opening, closing = ("(", ")") if node.layer is None else ("[", "]")
            lines.append(f'  n{at}{opening}"{text}"{closing}')
        lines += [f"  n{source} --> n{target}" for source, target in self.arrows]
        for at, (fill, letters) in enumerate(self._colours()):
            lines.append(f"  style n{at} fill:{fill},color:{letters}")
        return "\n".join(lines)

    def to_dot(self) -> str:
        """A description in the language of Graphviz."""
        lines = [
            f"digraph {_quote_for_dot(self.name)} {{",
            '  node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=10];',
        ]
        for at, (node, colours) in enumerate(zip(self.nodes, self._colours(), strict=True)):
            fill, letters = colours
            label = _quote_for_dot("\n".join(node.lines))
            lines.append(f'  n{at} [label={label}, fillcolor="{fill}", fontcolor="{letters}"];')
        lines += [f"  n{source} -> n{target};" for source, target in self.arrows]
        return "\n".join([*lines, "}"])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a file of the kind its suffix says.

        Parameters
        ----------
        path : str or path
            ``.mmd`` for Mermaid, ``.dot`` or ``.gv`` for Graphviz; ``.svg``, ``.png`` or ``.pdf``
            for a picture, which the extra ``graphviz`` and the program ``dot`` draw.

        Raises
        ------
        InvalidArgumentError
            Another suffix.
        MissingPackageError
            A picture, and there is no Graphviz.
        OSError
            The file cannot be written.
        """
        path = Path(path)
        kind = check_picture(path)
        if kind == "mmd":
            return files.write(path, self.to_mermaid() + "\n")
        if kind in ("dot", "gv"):
            return files.write(path, self.to_dot() + "\n")
        source = import_optional("graphviz", "graphviz").Source(self.to_dot())
        picture: bytes = source.pipe(format=kind)
        return files.write_with(path, lambda file: file.write(picture))

    def _colours(self) -> list[tuple[str, str]]:
        """Of every node, the colour of the box and that of the letters."""
        bits = [math.nan if node.layer is None else node.layer.log2_maximum for node in self.nodes]
        most = max((one for one in bits if not math.isnan(one)), default=0.0)
        return [_pick_colours(one, most) for one in bits]

    def __repr__(self) -> str:
        return f"LayerGraph({self.name!r}, {len(self.nodes)} nodes, {len(self.arrows)} arrows)"


def check_picture(path: Path) -> str:
    """The kind of picture that a suffix says, before anything is counted.

    Raises
    ------
    InvalidArgumentError, MissingPackageError
        See `LayerGraph.save`.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("mmd", "dot", "gv", "svg", "png", "pdf"):
        raise InvalidArgumentError(
            f"'{path}' must end in .svg, .png or .pdf, in .mmd (Mermaid) or in .dot (Graphviz)"
        )
    if kind in ("svg", "png", "pdf"):
        import_optional("graphviz", "graphviz")
        from shutil import which

        if which("dot") is None:
            raise MissingPackageError(
                f"'{path}' is drawn by Graphviz, whose program 'dot' is not installed; install it "
                "from https://graphviz.org, or write a file of Mermaid (.mmd) instead"
            )
    return kind


def draw_layers(
    name: str, layers: Sequence[LayerSummary], flow: Flow, depth: int | None
) -> LayerGraph:
    """The picture of a model, with what has the same first parts of its path in one box."""
    known = {layer.name: layer for layer in layers}
    groups: dict[str, list[LayerSummary]] = {}
    group_of: dict[str, str] = {}
    for at in flow.order:
        layer = known.get(at)
        path = at if layer is None else layer.path or layer.name
        group = ".".join(path.split(".")[:depth])
        group_of[at] = group
        members = groups.setdefault(group, [])
        if layer is not None:
            members.append(layer)
    places = {group: at for at, group in enumerate(groups)}
    arrows = {
        (places[group_of[source]], places[group_of[target]]): None
        for source, target in flow.arrows
        if group_of[source] != group_of[target]
    }
    return LayerGraph(name, [_make_node(*one) for one in groups.items()], arrows)


def _make_node(group: str, members: list[LayerSummary]) -> LayerNode:
    if not members:
        return LayerNode(group, None)
    return LayerNode(group, members[0] if len(members) == 1 else taken_together(members, group))


def _pick_colours(bits: float, most: float) -> tuple[str, str]:
    if math.isnan(bits):
        return "#ffffff", "#000000"
    part = bits / most if most > 0 else 0.0
    mixed = [round(a + (b - a) * part) for a, b in zip(PALE, DEEP, strict=True)]
    return "#" + "".join(f"{one:02x}" for one in mixed), "#ffffff" if part > DARK else "#000000"


def _escape_for_mermaid(text: str) -> str:
    """Text without what Mermaid, or the HTML that it makes, takes for its own."""
    special = '#&<>"`\\'
    return "".join(f"#{ord(one)};" if one in special else one for one in text)


def _quote_for_dot(text: str) -> str:
    shown = "\n".join(map(printable, text.split("\n")))
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
