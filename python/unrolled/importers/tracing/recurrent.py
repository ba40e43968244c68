"""Recurrent layers, unrolled over time with tied weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from unrolled._core import Relation
from unrolled.errors import InvalidModelError
from unrolled.importers.tracing.base import MOVE, OTHER, Link
from unrolled.importers.tracing.functions import NAMED, ElementFunction
from unrolled.importers.tracing.products import AFFINE, Products
from unrolled.importers.tracing.values import Constant, Operand, Value
from unrolled.network.builder import LinkRole

__all__ = ["Recurrent"]

Part: TypeAlias = Operand | tuple[Operand, list[int]] | None
"""What a new state is computed from: another state, or some of the gates."""

SIGMOID, TANH = NAMED["sigmoid"], NAMED["tanh"]

LONGEST_SEQUENCE = 65_536
"""Sequences with more steps are not unrolled."""


class Recurrent(Products):
    """The part of `Tracer` for recurrent layers.

    Inputs have the shape ``(time, batch, in)``, states ``(1, batch, units)``. Weights are a kernel
    of shape ``(gates * units, in)``, a recurrent kernel of ``(gates * units, units)``, and any
    number of biases of ``(gates * units,)``. A state that is zero has no edge, and neither has a
    weight that multiplies it.
    """

    def lstm(
        self,
        x: Operand,
        weights: Sequence[Operand],
        hidden: Operand | None = None,
        cell: Operand | None = None,
        *,
        order: str = "iofc",
        peepholes: Operand | None = None,
        reverse: bool = False,
        functions: Sequence[ElementFunction | None] = (SIGMOID, TANH, TANH),
    ) -> tuple[Operand, Operand, Operand]:
        """Long short-term memory in one direction.

        Parameters
        ----------
        x : Operand
        weights : sequence of Operand
            With four gates.
        hidden, cell : Operand, optional
            States before the first step; zero by default.
        order : str
            Of the gates: input, output, forget, and c for what is new in the cell.
        peepholes : Operand, shape ``(3 * units,)``, optional
            From the cell to the gates i, o and f.
        reverse : bool
            Whether time runs backwards.
        functions : sequence of callable or None
            Of the gates, of what is new in the cell, and of the cell on its way to the hidden
            state; None for one that is not known.

        Returns
        -------
        states, hidden, cell : Operand
            Hidden states of all steps, shape ``(time, batch, units)``; the last states.
        """
        units = weights[1].shape[1]
        given = self._from_inputs(x, weights)
        recurrent = self.reshape(weights[1], (4, units, units))
        states: list[Operand] = []
        hole: dict[str, Operand] = {}
        if peepholes is not None:
            hole = dict(zip("iof", self.split(peepholes, 0, [units] * 3), strict=True))
        for step in self._steps(x, reverse):
            gates = self._gates(given[step], recurrent, hidden)
            if self.operations and peepholes is None:
                cell, hidden = self._lstm_step(gates, order, cell, functions)
                states.append(hidden)
                continue
            forget = "f" if isinstance(cell, Value) else ""
            parts: list[Part] = [(gates, [order.index(gate) for gate in f"ic{forget}"]), cell]
            parts += [self._peep(hole, gate, cell) for gate in "if"]
            cell = self._state(units, parts)
            output = (gates, [order.index("o")])
            hidden = self._state(units, [cell, output, self._peep(hole, "o", cell)])
            states.append(hidden)
        assert hidden is not None
        assert cell is not None
        return self.concat(states[::-1] if reverse else states, 0), hidden, cell

    def gru(
        self,
        x: Operand,
        weights: Sequence[Operand],
        hidden: Operand | None = None,
        *,
        recurrent_bias: Operand | None = None,
        order: str = "zrh",
        reset_after: bool = True,
        reverse: bool = False,
        functions: Sequence[ElementFunction | None] = (SIGMOID, TANH),
    ) -> tuple[Operand, Operand]:
        """Gated recurrent units in one direction.

        Parameters
        ----------
        x, weights, hidden, reverse
            As for `lstm`, with three gates.
        recurrent_bias : Operand, shape ``(3 * units,)``, optional
            Added to the product with the recurrent kernel.
        order : str
            Of the gates: update z, reset r, candidate h.
        reset_after : bool
            Whether the reset gate multiplies after the product with the recurrent kernel.
        functions : sequence of callable or None
            Of the gates and of the candidate.

        Returns
        -------
        states, hidden : Operand
        """
        units = weights[1].shape[1]
        given = self._from_inputs(x, weights)
        rows = self.split(self.reshape(weights[1], (3, units, units)), 0, [1] * 3)
        kernels = dict(zip(order, rows, strict=True))
        biases: dict[str, Operand] = {}
        if recurrent_bias is not None:
            rows = self.split(self.reshape(recurrent_bias, (3, units)), 0, [1] * 3)
            biases = dict(zip(order, rows, strict=True))
        states: list[Operand] = []
        for step in self._steps(x, reverse):
            if self.operations:
                gate = {one: self._gate(given[step], at) for at, one in enumerate(order)}
                hidden = self._gru_step(gate, kernels, biases, hidden, reset_after, functions)
                states.append(hidden)
                continue
            part: dict[str, Part] = {g: (given[step], [at]) for at, g in enumerate(order)}
            past = {gate: self._recurrent(hidden, kernels[gate], biases.get(gate)) for gate in "zr"}
            update = self._state(units, [part["z"], past["z"]])
            reset = self._state(units, [part["r"], past["r"]])
            if reset_after:
                product = self._recurrent(hidden, kernels["h"], biases.get("h"))
                gated = [product, reset] if isinstance(product, Value) else []
            else:
                held = self._state(units, [hidden, reset]) if isinstance(hidden, Value) else None
                product = self._recurrent(held, kernels["h"], biases.get("h"))
                gated = [product] if isinstance(product, Value) else []
            candidate = self._state(units, [part["h"], *gated])
            # (1 - update) * candidate + update * hidden
            kept = [update, hidden] if isinstance(hidden, Value) else []
            hidden = self._state(units, [update, candidate, *kept])
            states.append(hidden)
        assert hidden is not None
        return self.concat(states[::-1] if reverse else states, 0), hidden

    def rnn(
        self,
        x: Operand,
        weights: Sequence[Operand],
        hidden: Operand | None = None,
        *,
        reverse: bool = False,
        function: ElementFunction | None = TANH,
    ) -> tuple[Operand, Operand]:
        """A plain recurrent layer in one direction; as for `lstm`, with one gate and function.

        Returns
        -------
        states, hidden : Operand
        """
        given = self._from_inputs(x, weights)
        units = weights[1].shape[1]
        recurrent = self.reshape(weights[1], (1, units, units))
        states: list[Operand] = []
        for step in self._steps(x, reverse):
            gates = self._gates(given[step], recurrent, hidden)
            if self.operations:
                hidden = self.pointwise(self._gate(gates, 0), function, name="activation")
            else:
                hidden = self._state(units, [(gates, [0])])
            states.append(hidden)
        assert hidden is not None
        return self.concat(states[::-1] if reverse else states, 0), hidden

    def _steps(self, x: Operand, reverse: bool) -> range:
        length = x.shape[0]
        if length > LONGEST_SEQUENCE:
            raise InvalidModelError(
                f"{self.name}: {length:,} steps are too many to unroll; at most "
                f"{LONGEST_SEQUENCE:,} are"
            )
        return range(length - 1, -1, -1) if reverse else range(length)

    def _from_inputs(self, x: Operand, weights: Sequence[Operand]) -> list[Operand]:
        """What each step gets from inputs and biases, shape ``(1, batch, gates, units)``."""
        self._steps(x, reverse=False)
        kernel, recurrent, *biases = weights
        rows = kernel.shape[0]
        fits = x.rank == 3 and kernel.rank == recurrent.rank == 2 and kernel.shape[1] == x.shape[2]
        fits = fits and recurrent.shape[0] == rows and rows % recurrent.shape[1] == 0
        if not fits or any(bias.shape != (rows,) for bias in biases):
            shapes = ", ".join([str(weight.shape) for weight in weights])
            raise InvalidModelError(
                f"{self.name}: weights of shapes {shapes} do not fit inputs of shape {x.shape}"
            )
        gates = (rows // recurrent.shape[1], recurrent.shape[1])
        shape = (*x.shape[:2], *gates)
        kernel = self.reshape(kernel, (*gates, x.shape[2]))
        links: list[Link] = []
        if isinstance(x, Value):
            relations = [Relation.same(0, 0), Relation.same(1, 1), Relation.sum(2)]
            links.append((x, [*relations, Relation.all(2, 3)]))
        own = [Relation.sum(0), Relation.sum(1), Relation.same(0, 2), Relation.same(1, 3)]
        roles: list[LinkRole] = ["data"] * len(links)
        if isinstance(kernel, Value):
            links.append((kernel, [*own, Relation.each(2)]))
            roles.append("kernel")
        for bias in biases:
            bias = self.reshape(bias, gates)
            if isinstance(bias, Value):
                links.append((bias, own))
                roles.append("bias")
        return self._apart(self.emit(shape, links, AFFINE, roles) if links else Constant(shape))

    def _apart(self, x: Operand) -> list[Operand]:
        """The steps of a sequence, by halves, so that counts are added up a few times only."""
        parts = [x]
        while any(part.shape[0] > 1 for part in parts):
            halves = []
            for part in parts:
                half = part.shape[0] // 2
                halves += self.split(part, 0, [half, part.shape[0] - half]) if half else [part]
            parts = halves
        return parts

    def _gates(self, given: Operand, kernel: Operand, hidden: Operand | None) -> Operand:
        """The gates of a step: what it gets from inputs, and recurrent kernel times state."""
        links = self._recurrent_links(kernel, hidden)
        if self.operations and len(links) == 2:
            return self.add(self.emit(given.shape, links, AFFINE, ["data", "kernel"]), given)
        if isinstance(given, Value):
            links.append((given, [Relation.same(axis, axis) for axis in range(4)]))
        if not links:
            return Constant(given.shape)
        return self.emit(given.shape, links, MOVE if len(links) == 1 else OTHER)

    def _gate(self, gates: Operand, number: int) -> Operand:
        """One gate before its function, shape ``(1, batch, units)``."""
        one = self.slice(gates, 2, number, 1)
        return self.reshape(one, (*one.shape[:2], one.shape[3]))

    def _lstm_step(
        self,
        gates: Operand,
        order: str,
        cell: Operand | None,
        functions: Sequence[ElementFunction | None],
    ) -> tuple[Operand, Operand]:
        """The cell and the hidden state of a step, operation by operation."""
        of_gates, of_new, of_cell = functions
        gate = {name: self._gate(gates, order.index(name)) for name in "ioc"}

        def open_gate(name: str) -> Operand:
            return self.pointwise(gate[name], of_gates, name="activation of the gates")

        new = self.multiply(
            open_gate("i"), self.pointwise(gate["c"], of_new, name="activation of the cell")
        )
        if isinstance(cell, Value):
            gate["f"] = self._gate(gates, order.index("f"))
            new = self.add(self.multiply(open_gate("f"), cell), new)
        state = self.pointwise(new, of_cell, name="activation of the state")
        return new, self.multiply(open_gate("o"), state)

    def _gru_step(
        self,
        gate: dict[str, Operand],
        kernels: dict[str, Operand],
        biases: dict[str, Operand],
        hidden: Operand | None,
        reset_after: bool,
        functions: Sequence[ElementFunction | None],
    ) -> Operand:
        """The hidden state of a step, operation by operation."""
        of_gates, of_new = functions

        def open_gate(name: str) -> Operand:
            past = self._recurrent(hidden, kernels[name], biases.get(name))
            total = gate[name] if past is None else self.add(gate[name], past)
            return self.pointwise(total, of_gates, name="activation of the gates")

        update, reset = open_gate("z"), open_gate("r")
        if isinstance(update, Value):  # It is read twice.
            update = self._declare(self.made(update))
        if reset_after:
            product = self._recurrent(hidden, kernels["h"], biases.get("h"))
            gated = None if product is None else self.multiply(reset, product)
        else:
            held = self.multiply(reset, hidden) if isinstance(hidden, Value) else None
            gated = self._recurrent(held, kernels["h"], biases.get("h"))
        total = gate["h"] if gated is None else self.add(gate["h"], gated)
        candidate = self.pointwise(total, of_new, name="activation of the candidate")
        rest = self.pointwise(update, lambda x: 1.0 - x, name="one minus")
        new = self.multiply(rest, candidate)
        if not isinstance(hidden, Value):
            return new
        return self.add(new, self.multiply(update, hidden))

    def _recurrent(
        self, hidden: Operand | None, kernel: Operand, bias: Operand | None
    ) -> Operand | None:
        """One gate of a state, shape ``(1, batch, units)``."""
        links = self._recurrent_links(kernel, hidden)
        batch, units = 1 if hidden is None else hidden.shape[1], kernel.shape[1]
        if isinstance(bias, Value):
            own = [Relation.sum(0), Relation.sum(1), Relation.same(0, 2), Relation.same(1, 3)]
            links.append((bias, own))
        if not links:
            return None
        roles: list[LinkRole] = ["data", "kernel", "bias"]
        affine = [AFFINE, roles[: len(links)]] if len(links) > 1 else [MOVE]
        return self.reshape(self.emit((1, batch, 1, units), links, *affine), (1, batch, units))

    def _recurrent_links(self, kernel: Operand, hidden: Operand | None) -> list[Link]:
        links: list[Link] = []
        if isinstance(hidden, Value):
            relations = [Relation.same(0, 0), Relation.same(1, 1), Relation.sum(2)]
            links.append((hidden, [*relations, Relation.all(2, 3)]))
            if isinstance(kernel, Value):
                own = [Relation.sum(0), Relation.sum(1), Relation.same(0, 2), Relation.same(1, 3)]
                links.append((kernel, [*own, Relation.each(2)]))
        return links

    def _peep(self, hole: dict[str, Operand], gate: str, cell: Operand | None) -> Operand | None:
        """A peephole's product with the cell."""
        if gate not in hole or not isinstance(cell, Value):
            return None
        return self.multiply(hole[gate], cell)

    def _state(self, units: int, parts: Sequence[Part]) -> Operand:
        """A function of states, and of those gates whose numbers are given with them."""
        found = [part if isinstance(part, tuple) else (part, None) for part in parts]
        batch = max([value.shape[1] for value, _ in found if value is not None], default=1)
        links: list[Link] = []
        for value, gates in found:
            if not isinstance(value, Value):
                continue
            rows = (Relation.same if value.shape[1] == batch else Relation.all)(1, 1)
            if gates is None:
                links.append((value, [Relation.same(0, 0), rows, Relation.same(2, 2)]))
            else:
                read = Relation.sparse(2, 0, [0, len(gates)], sorted(gates))
                links.append((value, [Relation.each(0), rows, read, Relation.same(3, 2)]))
        return self.emit((1, batch, units), links, OTHER) if links else Constant((1, batch, units))
