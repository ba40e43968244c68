"""Published models and generators of networks, built without any framework.

All use the conventions of the published analysis (Polat and Alpaslan 2023, doi
10.1088/2632-2153/acc713): batch norms have four parameters a channel and replace the bias of the
convolution before them; activations, dropout, preprocessing and the final softmax add no node;
every logit is an output. Pointwise activations are one edge and change no count: they are built
where ``activations`` asks for them, and in networks of benchmarks, whose scores depend on them.
"""

from __future__ import annotations

from unrolled.models.benchmarks import nasbench201, nasbench_macro, transnasbench_micro
from unrolled.models.efficientnets import efficientnet_v2
from unrolled.models.generators import cnn, mlp
from unrolled.models.registry import ModelInfo, build, describe, names
from unrolled.models.resnets import resnet

__all__ = [
    "ModelInfo",
    "build",
    "cnn",
    "describe",
    "efficientnet_v2",
    "mlp",
    "names",
    "nasbench201",
    "nasbench_macro",
    "resnet",
    "transnasbench_micro",
]
