"""Models of transformers count the same as modules and as the ONNX files that PyTorch writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

from unrolled import Counts, analyze, count, from_onnx, from_torch  # noqa: E402

WORDS, WIDTH = 7, 8
IDS = torch.zeros(1, 5, dtype=torch.long)
TOKENS: dict[str, Any] = {"vocab_size": WORDS, "bos_token_id": 0, "eos_token_id": 0}
SIZES: dict[str, Any] = {
    **TOKENS,
    "hidden_size": WIDTH,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16,
}


def gpt2() -> Any:
    sizes = {"n_positions": 16, "n_embd": WIDTH, "n_layer": 2, "n_head": 2}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**TOKENS, **sizes))


def llama() -> Any:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))


def mistral() -> Any:
    return transformers.MistralForCausalLM(transformers.MistralConfig(**SIZES, sliding_window=3))


def mixtral() -> Any:
    # The other ways to compute experts have no export.
    experts = {"num_local_experts": 3, "experts_implementation": "batched_mm"}
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**SIZES, **experts))


def t5() -> Any:
    sizes = {"d_model": WIDTH, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2}
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**TOKENS, **sizes))


class Logits(torch.nn.Module):
    """What a model of transformers computes of tokens, as exporters want it.

    No two parameters are equal: exporters would store them once.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()
        for number, parameter in enumerate(model.parameters()):
            parameter.data = torch.rand(parameter.shape) + number

    def forward(self, ids: Any, decoder_ids: Any = None) -> Any:
        given = {"input_ids": ids, "use_cache": False}
        if decoder_ids is not None:
            given["decoder_input_ids"] = decoder_ids
        return self.model(**given).logits


EXPORTERS: dict[str, dict[str, Any]] = {
    "default": {"dynamo": True, "verbose": False},
    "not optimised": {"dynamo": True, "verbose": False, "optimize": False},
    "older": {"dynamo": False, "opset_version": 17},
}
TIED = {gpt2: "transformer.wte.weight", t5: "shared.weight"}


def counts_in_use(counts: Counts) -> list[list[int]]:
    """Counts of the elements of each parameter that have contexts, in order.

    Axes may be in another order, and a file may have only those rows of a table that are used.
    """
    return sorted(
        sorted(filter(None, counts[name].exact().reshape(-1).tolist())) for name in counts
    )


@pytest.mark.filterwarnings("ignore")  # Of the exporters.
@pytest.mark.parametrize(
    ("build", "exporter"),
    [
        *[(build, "default") for build in (gpt2, llama, mistral, mixtral, t5)],
        *[(build, "not optimised") for build in (gpt2, llama, mistral, mixtral, t5)],
        (t5, "older"),  # It has no rule for what the others do.
    ],
)
def test_file_has_the_counts_of_the_module(build: Any, exporter: str, tmp_path: Path) -> None:
    """Of rotary, relative and learnt positions, tied weights, causal masks and experts."""
    module = Logits(build())
    inputs = (IDS, IDS[:, :3]) if build is t5 else (IDS,)
    file = tmp_path / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(module, inputs, file, **EXPORTERS[exporter])
    net, expected = from_onnx(file), count(from_torch(module, inputs))
    found = count(net)
    assert counts_in_use(found) == counts_in_use(expected)
    # Parameters have their names, but for a tied one that has one of its two.
    tied = {f"model.{TIED[build]}", "model.lm_head.weight"} if build in TIED else set()
    if exporter == "default":
        assert set(found) - tied == set(expected) - tied


@pytest.mark.filterwarnings("ignore")
def test_quantities_are_those_of_the_module_where_rows_are_folded(tmp_path: Path) -> None:
    """Unused rows of a table of positions have no contexts, and count in no quantity."""
    module, file = Logits(gpt2()), tmp_path / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(module, (IDS,), file, **EXPORTERS["default"])
    found, expected = analyze(from_onnx(file)), analyze(from_torch(module, IDS))
    assert found.num_parameters == expected.num_parameters
    assert found.total_contexts == expected.total_contexts
    assert found.entropy == pytest.approx(expected.entropy, rel=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_masks_and_positions_in_another_file_are_read(tmp_path: Path) -> None:
    """Of more tokens the folded mask and rotary tables lie beside the weights."""
    ids = torch.zeros(1, 72, dtype=torch.long)
    sizes = {**SIZES, "hidden_size": 32, "max_position_embeddings": 72}
    module = Logits(transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)))
    file = tmp_path / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(module, (ids,), file, **EXPORTERS["default"])
    found, expected = count(from_onnx(file)), count(from_torch(module, (ids,)))
    assert counts_in_use(found) == counts_in_use(expected)
