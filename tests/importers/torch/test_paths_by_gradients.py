"""Models of transformers count what gradients of the same model count, one edge at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from oracles.torch_paths import path_counts  # noqa: E402
from unrolled import count, from_torch  # noqa: E402

TOKENS: dict[str, Any] = {"vocab_size": 7, "bos_token_id": 0, "eos_token_id": 0}
SIZES: dict[str, Any] = {
    **TOKENS,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16,
}
ENCODER: dict[str, Any] = {"d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2}


def llama() -> Any:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))


def mistral() -> Any:
    config = transformers.MistralConfig(**SIZES, sliding_window=2)
    return transformers.MistralForCausalLM(config)


def mixtral() -> Any:
    experts = {"num_local_experts": 3, "experts_implementation": "batched_mm"}
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**SIZES, **experts))


def t5() -> Any:
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**TOKENS, **ENCODER))


@pytest.mark.parametrize("build", [llama, mistral, mixtral, t5])
def test_counts_are_those_of_gradients(build: Any) -> None:
    model = build().eval()
    inputs = {"input_ids": torch.zeros(1, 5, dtype=torch.long)}
    if build is t5:
        inputs["decoder_input_ids"] = torch.zeros(1, 4, dtype=torch.long)
    found = count(from_torch(model, inputs, outputs=["logits"]))
    expected = path_counts(model, inputs)
    assert set(found) == set(expected)
    for name in expected:
        # Of T5 they are integers of 90 bits, which gradients in double precision round.
        exact = np.array(found[name].exact(), dtype=np.float64)
        np.testing.assert_allclose(exact, expected[name], rtol=1e-13, err_msg=name)
