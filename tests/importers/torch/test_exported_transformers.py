"""Models of transformers count the same as modules and as the ONNX files that PyTorch writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

from unrolled import count, from_onnx, from_torch  # noqa: E402

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


def mixtral() -> Any:
    experts = {"num_local_experts": 3, "experts_implementation": "batched_mm"}
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**SIZES, **experts))


def t5() -> Any:
    sizes = {"d_model": WIDTH, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2}
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**TOKENS, **sizes))


class Logits(torch.nn.Module):
    """A model with positional arguments and one output."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *arguments: Any) -> Any:
        inputs = dict(zip(self.names, arguments, strict=True))
        return self.model(**inputs, use_cache=False).logits


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("build", [gpt2, llama, mixtral, t5])
def test_file_has_the_counts_of_the_module(build: Any, tmp_path: Path) -> None:
    model = build().eval()
    for parameter in model.parameters():  # Exporters store equal tensors once.
        torch.nn.init.normal_(parameter)
    inputs = {"input_ids": IDS}
    if build is t5:
        inputs["decoder_input_ids"] = IDS
    file = tmp_path / "model.onnx"
    wrapped, arguments = Logits(model, list(inputs)), tuple(inputs.values())
    if build is t5:  # The newer exporter cannot decompose it.
        torch.onnx.export(
            wrapped,
            arguments,
            file,
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            do_constant_folding=False,
        )
    else:
        torch.onnx.export(wrapped, arguments, dynamo=True, optimize=False, verbose=False).save(file)
    found = count(from_onnx(file))
    expected = count(from_torch(model, inputs, outputs=["logits"]))
    totals = {name.removeprefix("model."): found[name].total for name in found}
    if build is gpt2:  # A tied tensor has one of its two names in a file.
        totals["transformer.wte.weight"] = totals.pop("lm_head.weight")
    assert totals == {name: expected[name].total for name in expected}
