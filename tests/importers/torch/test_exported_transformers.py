"""Models of transformers count the same as modules and as the ONNX files that PyTorch writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

from unrolled import (  # noqa: E402
    Counts,
    analyze,
    count,
    from_onnx,
    from_torch,
    initialization_report,
    propagate,
    score,
)

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


def mixtral(implementation: str = "batched_mm") -> Any:
    # The other ways to compute experts have no export.
    experts = {"num_local_experts": 3, "experts_implementation": implementation}
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


@pytest.mark.filterwarnings("ignore")
def test_experts_have_the_signals_and_scores_of_the_module(tmp_path: Path) -> None:
    """However their rows are sorted, and from a file, whose tables have 32 bits."""
    file = tmp_path / "model.onnx"
    modules = [Logits(mixtral(way)) for way in ("batched_mm", "grouped_mm")]
    with torch.no_grad():
        torch.onnx.export(modules[0], (IDS,), file, **EXPORTERS["default"])
    nets = [from_torch(module, (IDS,), operations=True) for module in modules]
    nets.append(from_onnx(file, operations=True))
    kernels = [name for name, _ in modules[0].named_parameters() if "norm" not in name]
    expected = propagate(nets[0])
    for net in nets[1:]:
        found = propagate(net)
        for name in kernels:
            assert found[name].gradient == pytest.approx(expected[name].gradient, rel=1e-6), name
        one, other = score(net), score(nets[0])
        assert (one.effective_parameters, one.macs, one.layers) == pytest.approx(
            (other.effective_parameters, other.macs, other.layers)
        )
    assert score(nets[1]).log_size == pytest.approx(score(nets[0]).log_size, rel=1e-9)


@pytest.mark.parametrize("way", ["batched_mm", "grouped_mm"])
def test_deepseek_has_a_report(way: str) -> None:
    """Its experts are chosen in groups, by scores that are masked and put back."""
    sizes = {**SIZES, "num_key_value_heads": 2, "experts_implementation": way}
    sizes |= {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 6}
    sizes |= {"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "n_shared_experts": 1}
    sizes |= {"q_lora_rank": 4, "kv_lora_rank": 4, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4}
    config = transformers.DeepseekV3Config(**sizes, v_head_dim=4)
    net = from_torch(Logits(transformers.DeepseekV3ForCausalLM(config)), (IDS,), operations=True)
    report = initialization_report(net)
    experts = [row for row in report.rows if "mlp.experts" in row.name]
    assert len(experts) == 2
    assert all(row.gradient > 0 for row in experts)
