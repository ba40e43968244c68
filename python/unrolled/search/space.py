"""`Space`: all architectures that some choices make, each a row of small integers."""

from __future__ import annotations

import hashlib
import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unrolled._support.arguments import Progress, check_progress, checked_threads
from unrolled._support.hints import described, did_you_mean
from unrolled.errors import (
    InvalidArgumentError,
    InvalidNetworkError,
    UnknownNameError,
    UnrolledError,
)
from unrolled.network.network import Network
from unrolled.search.fingerprints import fingerprint_of
from unrolled.search.variants import Template

__all__ = ["Columns", "Place", "Rows", "Space", "spelled"]

Rows = npt.NDArray[np.uint32]
"""Architectures: an array of shape ``(architectures, places)`` of numbers of options."""

Columns = dict[str, npt.NDArray[np.float64]]
"""Numbers of architectures by name: arrays of shape ``(architectures,)``."""

KEPT_TEMPLATES = 256
"""Compiled networks that a space keeps; the one not used for longest goes first."""

MOST_OPTIONS = 1 << 16


class Place(NamedTuple):
    """A place of choice.

    Attributes
    ----------
    name : str
    labels : tuple of str
        Its options.
    """

    name: str
    labels: tuple[str, ...]


def spelled(places: Iterable[Place], row: Iterable[int], between: str = " ") -> str:
    """An architecture in words, such as "edge=skip pool=max"; places may have more than the row."""
    pairs = zip(places, row, strict=False)
    return between.join(f"{place.name}={place.labels[option]}" for place, option in pairs)


class Space:
    """The architectures that are left open in a network with choices.

    An architecture is a row of small integers: the number of the option that is taken at each
    place. Rows come as arrays of shape ``(architectures, places)``, one row alone as a sequence of
    integers, or as a dictionary from places to labels.

    Parameters
    ----------
    network : Network
        With choices, made by `Network.choice`. It is copied.
    name : str, optional
        By default that of the network.

    Raises
    ------
    InvalidArgumentError
        Something else than a network.
    InvalidNetworkError
        A network without a choice, or with links into a choice besides those of its options.
    CycleError
        Links that form a cycle, through a choice or not.
    NothingToCountError
        No output, or no path to one, whatever is chosen: no architecture is valid.

    Examples
    --------
    >>> from unrolled import Network, search
    >>> net = Network("cell")
    >>> x = net.input((3, 32, 32))
    >>> y = net.choice("edge", {"skip": x, "conv3": net.conv(x, 3, 3), "none": None})
    >>> net.output(net.dense(net.global_pool(y), 10))
    >>> space = search.Space(net)
    >>> space
    Space('cell', 3 architectures, 1 place)
    >>> space.decode([1])
    {'edge': 'conv3'}
    >>> space.network([1])
    Network('cell edge=conv3', 124 parameters, 3,072 inputs, 10 outputs)
    """

    def __init__(self, network: Network, *, name: str | None = None) -> None:
        if not isinstance(network, Network):
            raise InvalidArgumentError(
                f"Space() needs a Network with choices, got {described(network)}; for a function "
                "that builds networks there is Space.from_function"
            )
        if not network.choices:
            raise InvalidNetworkError(
                f"network '{network.name}' has no choices; make some with Network.choice()"
            )
        template = Template(network)
        places = tuple(Place(*one) for one in template.places)
        self._fill(name or network.name, places, (), None, {(): template})

    def _fill(
        self,
        name: str,
        places: tuple[Place, ...],
        values: tuple[tuple[Any, ...], ...],
        build: Callable[..., Network] | None,
        templates: Mapping[tuple[int, ...], Template],
    ) -> None:
        self.name = name
        self.places = places
        self._values = values
        self._build = build
        self._templates: OrderedDict[tuple[int, ...], Template] = OrderedDict(templates)
        self._lock = threading.RLock()
        self._example = ""

    @classmethod
    def of_template(cls, name: str, template: Template) -> Space:
        """The space of a network that was compiled already."""
        space = cls.__new__(cls)
        space._fill(name, tuple(Place(*one) for one in template.places), (), None, {(): template})
        return space

    @classmethod
    def from_function(
        cls,
        build: Callable[..., Network],
        choices: Mapping[str, Sequence[Any]],
        *,
        name: str | None = None,
    ) -> Space:
        """The architectures that a function builds: for whatever changes shapes.

        Widths, numbers of repetitions, kernel sizes and resolutions are choices of this kind. Each
        combination that occurs is built and compiled once; the last 256 are kept. The networks may
        leave choices open themselves; then they are templates, and their places come after those
        of the function. All of them must have the same ones.

        Parameters
        ----------
        build : callable
            Takes an argument for each of `choices` by its name and returns a `Network`.
            Architectures that it refuses with an `UnrolledError` or a `ValueError` are not valid.
            Other processes can be given functions of modules only.
        choices : mapping of str to sequence
            The options of every argument.
        name : str, optional
            By default that of the function.

        Raises
        ------
        InvalidArgumentError
            No choices, one without options, or something else than a function.
        NothingToCountError
            None of the first architectures of the space is valid.

        Examples
        --------
        >>> from unrolled import models, search
        >>> def build(width, depth):
        ...     return models.mlp([width] * depth, inputs=4, classes=2)
        >>> space = search.Space.from_function(build, choices={"width": [4, 8], "depth": [1, 2, 3]})
        >>> len(space), space.decode([1, 2])
        (6, {'width': '8', 'depth': '3'})
        """
        if not callable(build):
            raise InvalidArgumentError(
                f"from_function() needs a function that builds a network, got {described(build)}"
            )
        if not isinstance(choices, Mapping) or not choices:
            raise InvalidArgumentError(
                "choices must be a mapping of the arguments of the function to their options, got "
                f"{described(choices)}"
            )
        values = []
        for argument, options in choices.items():
            if isinstance(options, (str, bytes)) or not isinstance(options, Iterable):
                raise InvalidArgumentError(
                    f"choices[{argument!r}] must be a list of options, got {described(options)}"
                )
            values.append(tuple(options))
            if not values[-1]:
                raise InvalidArgumentError(f"choices[{argument!r}] has no options")
            if len(set(map(str, values[-1]))) < len(values[-1]):
                raise InvalidArgumentError(f"choices[{argument!r}] has options that look the same")
        outer = tuple(
            Place(str(argument), tuple(map(str, options)))
            for argument, options in zip(choices, values, strict=True)
        )
        space = cls.__new__(cls)
        own = name or str(getattr(build, "__name__", type(build).__name__))
        space._fill(own, outer, tuple(values), build, {})
        first = space._first_template()
        space.places += first.places_as(Place)
        space._example = first.fingerprint()
        return space

    @property
    def size(self) -> int:
        """How many architectures there are, equal and invalid ones included."""
        product = 1
        for place in self.places:
            product *= len(place.labels)
        return product

    def __len__(self) -> int:
        return self.size

    @property
    def is_built(self) -> bool:
        """Whether a function builds its networks."""
        return self._build is not None

    def fingerprint(self) -> str:
        """A hash of all that the space is made of, in any process.

        Of a function that builds networks, these are its code, its arguments and their options, and
        the network of one architecture; see `unrolled.search.fingerprints`.
        """
        digest = hashlib.sha256(repr([(one.name, one.labels) for one in self.places]).encode())
        if self._build is not None:
            digest.update(fingerprint_of((self._build, self._values)).encode())
            digest.update(self._example.encode())
        else:
            for template in self._templates.values():
                digest.update(template.fingerprint().encode())
        return digest.hexdigest()

    @property
    def options(self) -> npt.NDArray[np.int64]:
        """How many options each place has."""
        return np.array([len(place.labels) for place in self.places], np.int64)

    def rows(self, start: int = 0, stop: int | None = None) -> Rows:
        """Architectures by their numbers, from `start` to before `stop`.

        Of neighbours, the last place differs.

        Raises
        ------
        InvalidArgumentError
            Numbers outside of the space.

        Examples
        --------
        >>> from unrolled import search
        >>> search.nasbench_macro().rows(3, 5).tolist()
        [[0, 0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1, 1]]
        """
        first = _whole(start)
        last = self.size if stop is None else _whole(stop)
        if first is None or last is None or not 0 <= first <= last <= self.size:
            raise InvalidArgumentError(
                f"space '{self.name}' has architectures 0 to {self.size}, got {start!r} to {stop!r}"
            )
        if self.size <= 1 << 62:
            return self.rows_of(np.arange(first, last, dtype=np.int64))
        found = [self._row_of(number) for number in range(first, last)]
        return np.array(found, np.uint32).reshape(len(found), len(self.places))

    def rows_of(self, numbers: npt.NDArray[np.int64]) -> Rows:
        """Architectures by their numbers; see `rows`.

        Raises
        ------
        InvalidArgumentError
            Something else than a list of integers, or numbers outside of the space.
        """
        given = _integers(numbers)
        if given.ndim != 1:
            raise InvalidArgumentError(
                f"numbers must be a list of integers, got an array of shape {given.shape}"
            )
        if len(given) and (given.min() < 0 or given.max() >= self.size):
            raise InvalidArgumentError(
                f"space '{self.name}' has architectures 0 to {self.size - 1}, got numbers "
                f"{given.min()} to {given.max()}"
            )
        found = np.empty((len(given), len(self.places)), np.uint32)
        left = given.astype(np.int64)
        for place in reversed(range(len(self.places))):
            left, found[:, place] = np.divmod(left, len(self.places[place].labels))
        return found

    def numbers(self, rows: Any) -> npt.NDArray[np.int64]:
        """The numbers of architectures; the opposite of `rows_of`.

        Raises
        ------
        InvalidArgumentError
            Rows that do not fit, or a space of more than 2^62 architectures.
        """
        checked = self.check(rows)
        if self.size > 1 << 62:
            raise InvalidArgumentError(
                f"space '{self.name}' has {self.size:.3g} architectures, too many to be numbered"
            )
        found = np.zeros(len(checked), np.int64)
        for place, one in enumerate(self.places):
            found = found * len(one.labels) + checked[:, place]
        return found

    def _row_of(self, number: int) -> list[int]:
        row = []
        for place in reversed(self.places):
            number, option = divmod(number, len(place.labels))
            row.append(option)
        return row[::-1]

    def random_rows(self, count: int, random: np.random.Generator) -> Rows:
        """Architectures drawn at random, each option of a place as likely as the others.

        Raises
        ------
        InvalidArgumentError
            A negative number of them, or something else than a generator.
        """
        many = _whole(count)
        if many is None or many < 0:
            raise InvalidArgumentError(f"count must be an integer from 0, got {described(count)}")
        if not isinstance(random, np.random.Generator):
            raise InvalidArgumentError(
                "random must be a generator of NumPy, such as numpy.random.default_rng(0), got "
                f"{described(random)}"
            )
        draws = random.integers(0, self.options, (many, len(self.places)))
        return draws.astype(np.uint32)

    def check(self, rows: Any) -> Rows:
        """Rows as the core takes them.

        Parameters
        ----------
        rows
            An array of integers of shape ``(architectures, places)``, or one row.

        Raises
        ------
        InvalidArgumentError
            No integers, another shape, or an option that a place does not have.
        """
        given = _integers(rows)
        if given.ndim == 1 and (len(given) or not self.places):
            given = given[None]
        if given.shape == (0,):
            given = np.empty((0, len(self.places)), np.uint32)
        if given.ndim != 2 or given.shape[1] != len(self.places):
            raise InvalidArgumentError(
                f"space '{self.name}' has {len(self.places)} places of choice, so that rows have "
                f"shape (architectures, {len(self.places)}); got {given.shape}"
            )
        wrong = (given < 0) | (given >= self.options)
        if wrong.any():
            row, at = (int(one) for one in np.argwhere(wrong)[0])
            place = self.places[at]
            raise InvalidArgumentError(
                f"row {row} takes option {given[row, at]} at place '{place.name}', which has "
                f"options 0 to {len(place.labels) - 1}"
            )
        return np.ascontiguousarray(given, np.uint32)

    def canonical(self, rows: Any) -> npt.NDArray[np.int64]:
        """Rows with -1 in the place of choices that make no difference.

        Architectures whose rows are equal then are the same network.

        Raises
        ------
        InvalidArgumentError
            Rows that do not fit.
        UnrolledError
            Whatever building a network of the space raises.
        """
        checked = self.check(rows)
        found = checked.astype(np.int64)
        for members, template, inner in self.groups(checked):
            if template.places:
                found[members, len(self._values) :] = template.canonical(inner)
        return found

    def encode(self, labels: Mapping[str, Any]) -> tuple[int, ...]:
        """The row of an architecture that is given by its labels.

        Raises
        ------
        InvalidArgumentError
            No mapping.
        UnknownNameError
            A place or label that is not there, or a place that is missing.

        Examples
        --------
        >>> from unrolled import search
        >>> space = search.nasbench201()
        >>> space.encode(dict.fromkeys((place.name for place in space.places), "skip_connect"))
        (1, 1, 1, 1, 1, 1)
        """
        if not isinstance(labels, Mapping):
            raise InvalidArgumentError(
                f"labels must be a mapping from places to labels, got {described(labels)}"
            )
        names = [place.name for place in self.places]
        for name in labels:
            if name not in names:
                raise UnknownNameError(
                    f"space '{self.name}' has no place {name!r}{did_you_mean(str(name), names)}"
                )
        row = []
        for place in self.places:
            if place.name not in labels:
                raise UnknownNameError(f"space '{self.name}': place '{place.name}' is missing")
            label = str(labels[place.name])
            if label not in place.labels:
                raise UnknownNameError(
                    f"place '{place.name}' has no option {label!r}"
                    f"{did_you_mean(label, place.labels)} (it has {', '.join(place.labels)})"
                )
            row.append(place.labels.index(label))
        return tuple(row)

    def decode(self, row: Any) -> dict[str, str]:
        """The labels of an architecture, by place; the opposite of `encode`.

        Raises
        ------
        InvalidArgumentError
            No row of integers, or an option that a place does not have.
        """
        checked = self._one(row)
        return {
            place.name: place.labels[option]
            for place, option in zip(self.places, checked.tolist(), strict=True)
        }

    def network(self, row: Any, *, name: str | None = None) -> Network:
        """The network of one architecture, without what takes no part in it.

        Parameters
        ----------
        row : sequence of int, or mapping of str to str
        name : str, optional

        Raises
        ------
        InvalidArgumentError, UnknownNameError
            As for `check` and `encode`.
        NothingToCountError
            No path leads to an output.
        UnrolledError
            Whatever building it raises.
        """
        checked = self._one(row)
        template, inner = self._template(checked)
        if not template.places:
            return template.whole(name)
        if name is None:
            name = f"{self.name} {spelled(self.places, checked.tolist())}"
        return template.network(inner, name)

    def _one(self, row: Any) -> Rows:
        """One architecture, as a row or by its labels."""
        given = self.encode(row) if isinstance(row, Mapping) else row
        checked = self.check(given)
        if len(checked) != 1 or np.ndim(given) != 1:
            raise InvalidArgumentError(
                f"expected one architecture, an option for each of {len(self.places)} places; got "
                f"{described(row)} of shape {np.shape(given)}"
            )
        one: Rows = checked[0]
        return one

    def groups(self, rows: Rows) -> Iterator[tuple[npt.NDArray[np.intp], Template, Rows]]:
        """Rows by the network that they are variants of: where they are, that, and their options.

        Raises
        ------
        UnrolledError
            Whatever building a network raises.
        """
        for members, row in self.split(rows):
            template, _ = self._template(row)
            yield members, template, np.ascontiguousarray(rows[members, len(self._values) :])

    def scores(
        self, rows: Any, *, threads: int | None = None, progress: Progress | None = None
    ) -> Columns:
        """Scores and sizes of many architectures; see `propagate_many`."""
        return self.gather(rows, Template.scores, threads=threads, progress=progress)

    def features(
        self, rows: Any, *, threads: int | None = None, progress: Progress | None = None
    ) -> Columns:
        """Features and zero-label scores of many architectures; see `Predictor`."""
        return self.gather(rows, Template.features, threads=threads, progress=progress)

    def gather(
        self,
        rows: Any,
        work: Callable[..., Columns],
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Columns:
        """What `work` finds for the variants of each network, put together in the order of rows.

        Parameters
        ----------
        rows
            As for `check`.
        work : callable
            Called as ``work(template, rows, threads=..., progress=...)``.
        threads : int, optional
            By default one a core.
        progress : callable, optional
            Called as ``progress(done, total)`` now and then.

        Raises
        ------
        InvalidArgumentError
            Rows that do not fit.
        UnrolledError
            Whatever building a network of the space raises.
        """
        check_progress(progress)
        team = 0 if threads is None else checked_threads(threads)
        checked = self.check(rows)
        done = 0

        def report(now: int, _: int) -> None:
            if progress is not None:
                progress(done + now, len(checked))

        found: Columns = {}
        for members, template, inner in self.groups(checked):
            columns = work(template, inner, threads=team, progress=report if progress else None)
            done += len(members)
            for name, values in columns.items():
                found.setdefault(name, np.empty(len(checked)))[members] = values
        if not found:
            template = self._any_template()
            nothing = np.empty((0, len(template.places)), np.uint32)
            found = work(template, nothing, threads=team, progress=None)
        return found

    def split(self, rows: Rows) -> Iterator[tuple[npt.NDArray[np.intp], Rows]]:
        """Rows by the network that they are variants of: where they are, and one of them."""
        outer = len(self._values)
        if not outer:
            if len(rows):
                yield np.arange(len(rows)), rows[0]
            return
        _, first, group = np.unique(rows[:, :outer], axis=0, return_index=True, return_inverse=True)
        group = group.reshape(-1)
        order = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group, minlength=len(first)))
        for members in np.split(order, ends[:-1]):
            yield members, rows[members[0]]

    def _template(self, row: Rows) -> tuple[Template, Rows]:
        """The compiled network that an architecture is a variant of, and its options there."""
        outer = tuple(row[: len(self._values)].tolist())
        with self._lock:
            return self._known(outer), row[len(self._values) :]

    def _known(self, outer: tuple[int, ...]) -> Template:
        known = self._templates.get(outer)
        if known is None:
            known = self._compile(outer)
            own = known.places_as(Place)
            if own != self.places[len(self._values) :]:
                raise InvalidNetworkError(
                    f"space '{self.name}': {self._shown(outer)} leaves other choices open than "
                    "the first network; all networks of a function need the same places"
                )
            self._templates[outer] = known
            if len(self._templates) > KEPT_TEMPLATES:
                self._templates.popitem(last=False)
        elif self._build is not None:
            self._templates.move_to_end(outer)
        return known

    def _compile(self, outer: tuple[int, ...]) -> Template:
        if self._build is None:
            raise UnrolledError(f"space '{self.name}' has lost its network")
        names = [place.name for place in self.places]
        arguments = {
            name: options[option]
            for name, options, option in zip(names, self._values, outer, strict=False)
        }
        try:
            network = self._build(**arguments)
        except UnrolledError as error:
            raise type(error)(f"space '{self.name}': {self._shown(outer)}: {error}") from error
        except ValueError as error:
            raise InvalidNetworkError(
                f"space '{self.name}': {self._shown(outer)}: {error}"
            ) from error
        if not isinstance(network, Network):
            raise InvalidArgumentError(
                f"space '{self.name}': the function must return a Network, got "
                f"{described(network)} for {self._shown(outer)}"
            )
        return Template(network)

    def _shown(self, outer: tuple[int, ...]) -> str:
        return spelled(self.places, outer, ", ")

    def _any_template(self) -> Template:
        """One of the compiled networks."""
        with self._lock:
            return next(iter(self._templates.values()), None) or self._first_template()

    def _first_template(self, tries: int = 1000) -> Template:
        """The network of the first architecture that can be built; random ones after the first."""
        random = np.random.default_rng(0)
        last: UnrolledError | None = None
        for number in range(min(tries, self.size)):
            few = self.size <= tries
            row = self._row_of(number) if few else random.integers(0, self.options).tolist()
            try:
                template = self._compile(tuple(row if number else [0] * len(row)))
            except InvalidArgumentError:
                raise
            except UnrolledError as error:
                last = error
                continue
            self._templates[tuple(row if number else [0] * len(row))] = template
            return template
        assert last is not None
        raise type(last)(f"space '{self.name}' has no valid architecture; the last: {last}")

    def __getstate__(self) -> dict[str, Any]:
        """Templates of a function are compiled anew where they are needed."""
        state = dict(self.__dict__)
        del state["_lock"]
        if self._build is not None:
            state["_templates"] = OrderedDict()
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        places = len(self.places)
        return (
            f"Space({self.name!r}, {self.size:,} architectures, "
            f"{places} place{'' if places == 1 else 's'})"
        )


def _whole(value: object) -> int | None:
    """An integer that is no truth value, or None."""
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _integers(rows: Any) -> npt.NDArray[Any]:
    """An array of integers; truth values and numbers that merely are whole are none.

    Raises
    ------
    InvalidArgumentError
        Anything else, or an array with a mask, whose hidden numbers would be taken.
    """
    if isinstance(rows, np.ma.MaskedArray):
        raise InvalidArgumentError("rows must be an array of integers without a mask")
    try:
        given = np.asarray(rows)
    except (TypeError, ValueError):  # Rows of different lengths.
        raise InvalidArgumentError(
            f"rows must be an array of integers, all of one length, got {described(rows)}"
        ) from None
    if given.size == 0:
        given = given.astype(np.uint32)  # An empty list has no type of its own.
    if given.dtype.kind not in "iu" or _has_truth_values(rows):
        raise InvalidArgumentError(
            f"rows must be an array of integers, got {described(rows)} of "
            f"{'truth values' if given.dtype.kind in 'iu' else given.dtype}"
        )
    return given


def _has_truth_values(rows: Any) -> bool:
    """Whether there are truth values among integers, which NumPy would make ones and zeros of."""
    if not isinstance(rows, (list, tuple)):
        return False
    return any(
        _has_truth_values(one) if isinstance(one, (list, tuple)) else isinstance(one, bool)
        for one in rows
    )
