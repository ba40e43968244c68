"""Families of vision models with published accuracies, and models of one's own with theirs.

The published models of this package need nothing else; other families are built, without weights,
by the libraries that they come from. The accuracies come with the package; where from, and under
which licence, is in ``data/SOURCES.md`` beside this module. Spaces of architectures are in
`unrolled.scores.benchmarks`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unrolled._core import Scorer
from unrolled._support.arguments import Progress, checked_numbers, items
from unrolled._support.hints import described
from unrolled._support.optional import import_optional
from unrolled.errors import InvalidArgumentError, MissingPackageError, UnrolledError
from unrolled.importers.door import Door
from unrolled.network.network import Network
from unrolled.scores.architecture_features import columns_of
from unrolled.scores.benchmarks import Benchmark, packaged_table, trainable
from unrolled.scores.scoring import are_scored, checked_network
from unrolled.sources.resolution import resolve

__all__ = ["Member", "ModelFamily", "given_models", "load_family"]

Numbers = npt.NDArray[np.float64]

DOOR = Door("evaluate", {"inputs": "inputs"})


@dataclass(frozen=True)
class Member:
    """A model of a family.

    Attributes
    ----------
    name : str
        As its library calls it.
    size : int
        The side of its image in pixels; 0 for models that come as they are.
    """

    name: str
    size: int = 0


class ModelFamily(Benchmark):
    """Models with the accuracies that were measured.

    Parameters
    ----------
    name : str
    members : sequence of Member
    accuracies : mapping of str to array of shape ``(models,)``
    build : callable
        The network of a member.
    skips : bool
        Whether a model that cannot be read is left out, with the reason; else it is an error.
    left_out : mapping of str to str, optional
    columns : mapping of str to array, optional
        What is known of the models already.
    """

    def __init__(
        self,
        name: str,
        members: Sequence[Member],
        accuracies: Mapping[str, Numbers],
        build: Callable[[Member], Network],
        *,
        skips: bool = True,
        left_out: Mapping[str, str] | None = None,
        columns: Mapping[str, Numbers] | None = None,
    ) -> None:
        self.name = name
        self.members = tuple(members)
        self.accuracies = accuracies
        self.left_out = dict(left_out or {})
        self._build = build
        self._skips = skips
        self._columns = columns

    @property
    def architectures(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(one.name for one in self.members)

    def scored(self, progress: Progress | None = None) -> tuple[ModelFamily, dict[str, Numbers]]:
        """The models that could be read, with their scores; see `Benchmark.scored`.

        Raises
        ------
        MissingPackageError
            The library that builds them is not installed.
        """
        rows: list[dict[str, float]] = []
        kept: list[int] = []
        left_out: dict[str, str] = {}
        for place, member in enumerate(self.members):
            if progress is not None:
                progress(place, len(self.members))
            try:
                rows.append(_columns(self._build(member)))
            except MissingPackageError:
                raise
            except UnrolledError as error:
                if not self._skips:
                    raise
                left_out[member.name] = str(error)
            else:
                kept.append(place)
        if progress is not None:
            progress(len(self.members), len(self.members))
        if not rows:
            raise InvalidArgumentError(
                f"none of the models of {self.name} could be read; the first one: "
                f"{next(iter(left_out.values()))}"
            )
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        found = ModelFamily(
            self.name,
            [self.members[place] for place in kept],
            {task: values[kept] for task, values in self.accuracies.items()},
            self._build,
            skips=self._skips,
            left_out=left_out,
            columns=columns,
        )
        scored = are_scored(columns)
        names = (*Scorer.columns, "parameters")
        return found, {name: np.where(scored, columns[name], -np.inf) for name in names}

    def features(self, progress: Progress | None = None) -> dict[str, Numbers]:
        """What `scored` found of the models on its way; see `Benchmark.features`."""
        if self._columns is None:
            scored, _ = self.scored(progress)
            return scored.features()
        return {name: self._columns[name] for name in Scorer.feature_columns}


def _columns(network: Any) -> dict[str, float]:
    """Features, scores and baselines of one model, as benchmarks of spaces name them."""
    checked_network(network)
    return columns_of(network) | {"parameters": float(trainable(network))}


def _published(member: Member) -> Any:
    return resolve(member.name, size=member.size, operations=True, door=DOOR)


def _torch_module(member: Member, create: Callable[[], Any]) -> Any:
    """The network of a module, built without weights.

    On the "meta" device nothing is allocated; but tables of indices and kernels that are no
    parameters have no values there, and models that need them are built a second time.
    """
    torch = import_optional("torch", "torch", "a family of PyTorch models")
    shape = (1, 3, member.size, member.size)
    try:
        with torch.device("meta"):
            module = create().eval()
            image = torch.zeros(shape)
        network = resolve(module, inputs=image, operations=True, door=DOOR)
        if not _needs_values(network):
            return network
    except (UnrolledError, RuntimeError, NotImplementedError):
        pass  # Whatever is really wrong comes up again here.
    module = create().eval()
    return resolve(module, inputs=torch.zeros(shape), operations=True, door=DOOR)


def _needs_values(network: Any) -> bool:
    operations = [network.operation(tensor) for tensor in network.tensors]
    return any(one is not None and one.function == "fixed_kernel" for one in operations)


def _torchvision(member: Member) -> Any:
    library = _library("torchvision.models", "torchvision")
    # Auxiliary classifiers are there in training alone.
    has_auxiliary = member.name in ("googlenet", "inception_v3")
    options = {"aux_logits": False, "init_weights": False} if has_auxiliary else {}
    return _torch_module(member, lambda: library.get_model(member.name, weights=None, **options))


def _timm(member: Member) -> Any:
    library = _library("timm", "timm")
    return _torch_module(member, lambda: library.create_model(member.name, pretrained=False))


def _keras(member: Member) -> Any:
    applications = import_optional("keras", "keras", 'evaluate("keras")').applications
    shape = (member.size, member.size, 3)
    model = getattr(applications, member.name)(weights=None, input_shape=shape)
    return resolve(model, operations=True, door=DOOR)


def _library(name: str, package: str) -> Any:
    """A library of models, which is no extra of this package."""
    import_optional("torch", "torch", f"a family of models that {package} builds")
    try:
        return import_optional(name, "torch")
    except MissingPackageError:
        raise MissingPackageError(
            f"{package} builds the models of this family, and is not installed: "
            f"pip install {package}",
            name=package,
        ) from None


BUILDERS: dict[str, Callable[[Member], Any]] = {
    "published": _published,
    "torchvision": _torchvision,
    "timm": _timm,
    "pycls": _timm,
    "keras": _keras,
}


def load_family(name: str) -> ModelFamily:
    """A family of published models by name; its models are built when they are scored.

    Examples
    --------
    >>> from unrolled.scores.families import load_family
    >>> family = load_family("published")
    >>> family.architectures[0], float(family.accuracies["imagenet"][0])
    ('efficientnetv2-b0', 78.386)
    """
    _, rows = packaged_table("vision")
    own = [row for row in rows if row[0] == name]
    members = [Member(model, int(size)) for _, model, size, _, _ in own]
    accuracies = {"imagenet": np.array([float(accuracy) for *_, accuracy in own])}
    return ModelFamily(name, members, accuracies, BUILDERS[name])


def given_models(
    models: Iterable[Any], accuracies: Mapping[str, Iterable[float]] | Iterable[float]
) -> ModelFamily:
    """Models of a user with their accuracies.

    Parameters
    ----------
    models : iterable
        Anything that `score` takes.
    accuracies : iterable of float, or mapping of str to iterable of float
        One for each model, by task if there are several tasks; more is better.

    Raises
    ------
    InvalidArgumentError
        Too few models, or not one finite number for each.
    """
    given = items(models)
    if given is None or len(given) < 3:
        raise InvalidArgumentError(
            f"evaluate() needs a benchmark's name or at least three models, got {described(models)}"
        )
    by_task = accuracies if isinstance(accuracies, Mapping) else {"accuracy": accuracies}
    checked = {}
    for task, figures in by_task.items():
        values = checked_numbers(f"accuracies of {task!r}", figures)
        if values.shape != (len(given),) or not np.isfinite(values).all():
            raise InvalidArgumentError(
                f"accuracies of {task!r} must be one finite number for each of {len(given)} "
                f"models, got {described(figures)}"
            )
        checked[str(task)] = values
    if not checked:
        raise InvalidArgumentError("accuracies must have at least one task")
    names = _distinct([_name(one) for one in given])
    by_name = dict(zip(names, given, strict=True))
    return ModelFamily(
        "models",
        [Member(name) for name in names],
        checked,
        _Given(by_name),
        skips=False,
    )


@dataclass(frozen=True)
class _Given:
    """Builds the networks of models that a user gave."""

    models: Mapping[str, Any]

    def __call__(self, member: Member) -> Any:
        return resolve(self.models[member.name], operations=True, door=DOOR)


def _name(model: Any) -> str:
    if isinstance(model, (str, os.PathLike)):
        return os.path.basename(os.fsdecode(model))
    return str(getattr(model, "name", None) or type(model).__name__)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with numbers behind those that were there before."""
    found: dict[str, None] = {}
    for name in names:
        number, one = 1, name
        while one in found:
            number += 1
            one = f"{name}#{number}"
        found[one] = None
    return list(found)
