"""The one table of quantities: what each is called, its symbol, its unit, and what it means.

Tables, exports, JSON, reports, figures, help and documentation read it, so a quantity that is
registered here appears in all of them. How a value is written into a cell is decided in
`unrolled.show.cells`; what it is computed from is in `unrolled.spectrum.quantities`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = [
    "BASELINES",
    "CATALOGUE",
    "ESTIMATES",
    "FEATURES",
    "RANKED",
    "RANKED_BY",
    "SCORES",
    "SCORES_SHOWN",
    "TABULATED",
    "Quantity",
    "value_of",
]


class Quantity(NamedTuple):
    """A quantity of a model.

    Attributes
    ----------
    key : str
        The attribute of `Analysis`, the column of exports and the key of JSON.
    label : str
        Its name in a sentence or a list, with the symbol.
    meaning : str
        One line for help and documentation.
    symbol : str
        Its symbol in plain text.
    latex : str
        Its symbol as LaTeX, with the dollar signs.
    heading : str
        The heading of its column, broken into lines as narrow tables need it.
    unit : str
        "bits", or nothing for numbers of things.
    decimals : int
        Decimals that tables show.
    more_means : str
        What a larger value says, or nothing if it says neither better nor worse.
    needs_input : bool
        Whether a model without an input has none.
    is_tabulated : bool
        Whether the tables of several models have a column for it.
    measured : str
        Of a score or baseline: where it ranks architectures well and where it does not, as
        measured; Spearman's correlation with accuracy.
    """

    key: str
    label: str
    meaning: str
    symbol: str = ""
    latex: str = ""
    heading: str = ""
    unit: str = ""
    decimals: int = 0
    more_means: str = ""
    needs_input: bool = False
    is_tabulated: bool = False
    measured: str = ""

    @property
    def title(self) -> str:
        """The heading of its column on one line."""
        return " ".join((self.heading or self.label).split())

    def with_unit(self, text: str, brackets: str = "()") -> str:
        """A heading followed by the unit in brackets, or alone if there is no unit."""
        return f"{text} {brackets[0]}{self.unit}{brackets[1]}" if self.unit else text


QUANTITIES = (
    Quantity(
        "num_parameters",
        "parameters",
        "parameters with a context, N_G",
        symbol="parameters",
        latex="$N_G$",
        heading="parameters",
        more_means="a larger model",
        is_tabulated=True,
        measured="NAS-Bench-201 .77 .75 .71, NAS-Bench-Macro .32, "
        "TransNAS-Bench-101 .05 to .71, torchvision .39, timm .71; "
        "nowhere best, badly on chains of blocks and torchvision",
    ),
    Quantity(
        "num_unreached_parameters",
        "parameters that reach no output",
        "parameters without a context, which no other quantity includes",
    ),
    Quantity(
        "num_weight_nodes",
        "weight nodes",
        "a parameter that is tied across k places is k weight nodes",
        more_means="a larger model",
    ),
    Quantity(
        "num_inputs",
        "inputs",
        "scalar inputs, N_I",
        symbol="inputs",
        latex="$N_I$",
        heading="inputs",
        is_tabulated=True,
    ),
    Quantity("num_outputs", "outputs", "scalar outputs"),
    Quantity(
        "total_contexts",
        "total contexts Z",
        "paths from all parameters to the outputs, Z = sum C",
        symbol="Z",
        latex="$Z$",
        more_means="more reuse",
    ),
    Quantity(
        "log2_total_contexts",
        "log2 of the total contexts Z",
        "logarithm of the total contexts, Z = sum C",
        symbol="log2 Z",
        latex=r"$\log_2 Z$",
        heading="log2 of\ncontexts",
        unit="bits",
        decimals=3,
        more_means="more reuse",
        is_tabulated=True,
    ),
    Quantity(
        "expected_spread",
        "expected spread E[log2 C]",
        "expected spread, E[log2 C] = sum p log2 C with p = C / Z",
        symbol="spread",
        latex=r"$E[\log_2 C]$",
        heading="expected\nspread",
        unit="bits",
        decimals=3,
        more_means="more reuse of the parameters that are reused most",
        is_tabulated=True,
    ),
    Quantity(
        "entropy",
        "entropy H",
        "entropy, -sum p log2 p = log2 Z - E[log2 C]",
        symbol="H",
        latex="$H$",
        heading="entropy",
        unit="bits",
        decimals=3,
        more_means="contexts spread over more parameters",
        is_tabulated=True,
    ),
    Quantity(
        "total_surprisal",
        "total surprisal S_G",
        "total surprisal, -sum log2 p over the parameters",
        symbol="S_G",
        latex="$S_G$",
        heading="total\nsurprisal",
        unit="bits",
        more_means="more parameters, or less even reuse",
        is_tabulated=True,
    ),
    Quantity(
        "surprisal_estimate",
        "surprisal estimate P_G",
        "surprisal estimate, log2(S_G N_I / |G|)",
        symbol="P_G",
        latex="$P_G$",
        heading="surprisal\nestimate",
        unit="bits",
        decimals=3,
        more_means="a better model, as published",
        needs_input=True,
        is_tabulated=True,
    ),
    Quantity(
        "spread_estimate",
        "spread estimate P'_G",
        "spread estimate, log2(N_G (E[log2 C] + 1) N_I / |G|)",
        symbol="P'_G",
        latex="$P'_G$",
        heading="spread\nestimate",
        unit="bits",
        decimals=3,
        more_means="a better model, as published",
        needs_input=True,
        is_tabulated=True,
    ),
)

CATALOGUE: Mapping[str, Quantity] = MappingProxyType({one.key: one for one in QUANTITIES})
"""All quantities of an `Analysis` by key, in the order in which they are shown."""

TABULATED = tuple(one for one in QUANTITIES if one.is_tabulated)
"""Those for which tables of several models have a column."""

ESTIMATES = tuple(one.key for one in QUANTITIES if one.needs_input)
"""Keys of those that a model without an input does not have."""

RANKED = (*(one.key for one in reversed(QUANTITIES)), "name")
"""What several models can be ranked by, the default first."""


SCORE_QUANTITIES = (
    Quantity(
        "log_size",
        "log size",
        "mean of two: the saliency entropy, and the mean of the logarithms of effective parameters "
        "and of layers, where kernels that are added or concatenated are one layer",
        symbol="L_s",
        latex="$L_s$",
        heading="log\nsize",
        unit="nats",
        decimals=3,
        more_means="more parameters, layers, and units that matter",
        is_tabulated=True,
        measured="NAS-Bench-201 .93 .92 .91, NAS-Bench-Macro .80, "
        "TransNAS-Bench-101 .12 to .86, torchvision .77, timm .79; "
        "well in cells, below activations on families for ImageNet",
    ),
    Quantity(
        "saliency_entropy",
        "saliency entropy",
        "Shannon entropy of the saliency of edges over the effective units, at initialisation",
        symbol="H_s",
        latex="$H_s$",
        heading="saliency\nentropy",
        unit="nats",
        decimals=3,
        more_means="more units that matter, more evenly",
        is_tabulated=True,
        measured="NAS-Bench-201 .95 .94 .92, NAS-Bench-Macro .85, "
        "TransNAS-Bench-101 .13 to .88, torchvision .72, timm .77; "
        "best in cells, below activations on families for ImageNet",
    ),
    Quantity(
        "effective_macs",
        "effective MACs",
        "multiplications by weights, with as many taps as a patch has independent positions",
        symbol="E'",
        latex="$E'$",
        heading="effective\nMACs",
        more_means="more computation on what is not the same",
        is_tabulated=True,
        measured="NAS-Bench-201 .91 .88 .88, NAS-Bench-Macro .75, "
        "TransNAS-Bench-101 .09 to .82, torchvision .61, timm .74; "
        "well in cells, not on torchvision",
    ),
    Quantity(
        "effective_units",
        "effective units",
        "units weighted by the root of their effective inputs",
        symbol="S",
        latex="$S$",
        heading="effective\nunits",
        more_means="more units with more inputs each",
        measured="NAS-Bench-201 .91 .89 .88, NAS-Bench-Macro .89, "
        "TransNAS-Bench-101 .08 to .87, torchvision .74, timm .78; "
        "well in cells and chains of blocks, below activations on families",
    ),
    Quantity(
        "effective_edges",
        "effective edges",
        "edges with effective taps, counted at the positions that are read",
        symbol="E",
        latex="$E$",
        heading="effective\nedges",
        more_means="more edges on what is not the same",
        measured="NAS-Bench-201 .89 .87 .86, NAS-Bench-Macro .78, "
        "TransNAS-Bench-101 .09 to .88, torchvision .59, timm .70; "
        "well in cells, not on torchvision",
    ),
    Quantity(
        "effective_parameters",
        "effective parameters",
        "weights of kernels with effective taps, tied ones once",
        symbol="W",
        latex="$W$",
        heading="effective\nparameters",
        more_means="more weights on what is not the same",
        measured="NAS-Bench-201 .86 .85 .84, NAS-Bench-Macro .32, "
        "TransNAS-Bench-101 .10 to .81, torchvision .39, timm .72; "
        "well in cells, badly on chains of blocks and torchvision",
    ),
    CATALOGUE["num_parameters"],
    Quantity(
        "layers",
        "layers",
        "layers with weights on paths from an input to an output",
        symbol="layers",
        latex="layers",
        heading="layers",
        more_means="more layers, one after the other or side by side",
        measured="NAS-Bench-201 .76 .77 .76, NAS-Bench-Macro .74, "
        "TransNAS-Bench-101 .15 to .64, torchvision .72, timm .38; "
        "best on the 12 published models, badly on timm",
    ),
    Quantity(
        "macs",
        "MACs",
        "multiplications by weights on paths from an input to an output, padding included",
        symbol="MACs",
        latex="MACs",
        heading="MACs",
        more_means="more computation",
        is_tabulated=True,
        measured="NAS-Bench-201 .82 .80 .78, NAS-Bench-Macro .75, "
        "TransNAS-Bench-101 .09 to .82, torchvision .61, timm .74; "
        "nowhere best, above parameters nearly everywhere",
    ),
    Quantity(
        "activations",
        "activations",
        "elements that are computed with weights",
        symbol="activations",
        latex="activations",
        heading="activations",
        more_means="a wider or finer model",
        is_tabulated=True,
        measured="NAS-Bench-201 .76 .77 .76, NAS-Bench-Macro .89, "
        "TransNAS-Bench-101 .09 to .66, torchvision .87, timm .84; "
        "best on chains of blocks and families for ImageNet, badly on TransNAS",
    ),
    Quantity(
        "depth",
        "depth",
        "the most layers with weights on one path from an input to an output",
        symbol="depth",
        latex="depth",
        heading="depth",
        more_means="a deeper model",
        is_tabulated=True,
        measured="NAS-Bench-201 .69 .70 .68, NAS-Bench-Macro .74, "
        "TransNAS-Bench-101 .05 to .59, torchvision .73, timm .46; "
        "best on the 12 published models, badly on TransNAS and timm",
    ),
)

SCORES: Mapping[str, Quantity] = MappingProxyType({one.key: one for one in SCORE_QUANTITIES})
"""All that `unrolled.score` gives, by key, in the order in which it is shown."""

BASELINES = ("num_parameters", "layers", "macs", "activations", "depth")
"""Those of them that are no scores of ours; they are shown beside every score."""

RANKED_BY = "log_size"
"""The score that several models are ranked by if nothing else is asked for."""

SCORES_SHOWN = tuple(one for one in SCORE_QUANTITIES if one.is_tabulated)
"""Those for which tables of several models have a column."""


FEATURES: Mapping[str, Quantity] = MappingProxyType(
    {
        key: Quantity(key, key.replace("_", " "), meaning, decimals=4)
        for key, meaning in (
            (
                "path_kernels",
                "mean number of kernels on a path, each taken with the variance that it carries",
            ),
            ("path_kernels_deviation", "standard deviation of the number of kernels on a path"),
            ("path_activations", "mean number of activation functions on a path"),
            (
                "log_receptive_field",
                "log of 1 + the mean square reach of a path at the input, along one axis",
            ),
            ("log_paths", "log of the number of paths from an input to an output, over tensors"),
            ("least_kernels", "kernels on the path that has the fewest"),
            ("most_kernels", "kernels on the path that has the most"),
            ("log_path_kernels", "log of 1 + the mean number of kernels on a path"),
            ("relative_path_kernels", "mean number of kernels on a path, over the most"),
            (
                "relative_path_kernels_deviation",
                "standard deviation of the number of kernels on a path, over its mean",
            ),
            (
                "weightless_share",
                "share of the variance that reaches sums by links without a kernel",
            ),
            (
                "identity_share",
                "share of the variance that reaches sums by links that change nothing",
            ),
            ("log_merges", "log of 1 + the number of sums of several tensors"),
            ("log_identities", "log of 1 + the number of links into sums that change nothing"),
            ("log_average_pools", "log of 1 + the number of average pools"),
            ("log_max_pools", "log of 1 + the number of max pools"),
            ("log_lone_norms", "log of 1 + the number of norms that follow no kernel"),
            ("log_concatenations", "log of 1 + the number of tensors that are concatenated"),
            (
                "log_lone_activations",
                "log of 1 + the number of activation functions that no kernel reads",
            ),
            ("log_gates", "log of 1 + the number of factors of products"),
            ("log_channels", "mean over layers of the log of output channels"),
            (
                "log_channels_deviation",
                "standard deviation over layers of the log of output channels",
            ),
            ("log_channels_maximum", "log of the most output channels of a layer"),
            ("log_channels_minimum", "log of the fewest output channels of a layer"),
            ("log_channel_ratio", "mean over layers of |log of input over output channels|"),
            ("log_fan_in", "mean over layers of the log of the fan-in"),
            (
                "log_effective_weights_deviation",
                "standard deviation over layers of the log of effective weights",
            ),
            (
                "log_effective_units_deviation",
                "standard deviation over layers of the log of effective units",
            ),
            ("log_effective_taps", "mean over layers of the log of effective taps"),
            (
                "log_saliency",
                "mean over layers of the log of the root mean square saliency",
            ),
            (
                "log_saliency_deviation",
                "standard deviation over layers of the log of the root mean square saliency",
            ),
            ("log_positions", "mean over layers of the log of output positions"),
            (
                "saliency_slope",
                "slope of the log of saliency along the depth, times the deviation of the depth",
            ),
            (
                "channels_slope",
                "slope of the log of channels along the depth, times the deviation of the depth",
            ),
            ("correlation", "mean over layers of the correlation between positions of their input"),
            (
                "last_correlation",
                "correlation between positions of the input of the last layer that has several",
            ),
            (
                "weighted_correlation",
                "mean correlation between positions, each layer with its effective MACs",
            ),
            ("log_links", "log of the number of kernels, pools, and operands of sums and the like"),
            ("log_other_parameters", "log of 1 + the parameters that are no kernels"),
            (
                "log_other_macs",
                "log of 1 + the multiplications by no kernel, such as those of attention",
            ),
        )
    }
)
"""The numbers that describe an architecture to a predictor, in the order of the core.

Logarithms are natural. A layer is a link with a kernel; means are unweighted, over those that lie
between an input and an output.
"""


def value_of(model: Any, key: str) -> Any:
    """A quantity of a model, or its name; None if it is an estimate and there is no input."""
    if key in ESTIMATES and model.num_inputs == 0:
        return None
    return getattr(model, key)
