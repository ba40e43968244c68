"""Models of transformers, read as they are and compared with the same built from layers."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from unrolled import Network, count  # noqa: E402
from unrolled.errors import InvalidArgumentError  # noqa: E402
from unrolled.importers.torch import from_torch  # noqa: E402

TOKENS, WORDS, WIDTH, HEADS, LAYERS = 5, 11, 8, 2, 2
IDS = torch.zeros(1, TOKENS, dtype=torch.long)
SIZES: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 3 * WIDTH,
    "max_position_embeddings": 2 * TOKENS,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def gpt2(**options: Any) -> Any:
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=WORDS,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            n_positions=2 * TOKENS,
            bos_token_id=0,
            eos_token_id=0,
            **options,
        )
    )


def llama(**options: Any) -> Any:
    config = transformers.LlamaConfig(**SIZES, num_key_value_heads=1, **options)
    return transformers.LlamaForCausalLM(config)


def gpt2_of_layers(semantics: Any) -> Network:
    """GPT-2 as its paper has it, the embedding tied with the last layer."""
    net = Network(semantics=semantics)
    words = net.parameter("transformer.wte.weight", (WORDS, WIDTH))
    places = net.parameter("transformer.wpe.weight", (2 * TOKENS, WIDTH))
    x = net.embedding(net.input((TOKENS,), "ids"), WORDS, WIDTH, table=words)
    x = net.add(x, net.slice(places, 0, 0, TOKENS))
    size = WIDTH // HEADS

    def dense(x: Any, units: int, name: str) -> Any:
        kernel = net.parameter(f"{name}.weight", (x.shape[-1], units))
        return net.dense(x, units, kernel=kernel, bias=net.parameter(f"{name}.bias", units))

    def norm(x: Any, name: str) -> Any:
        scale, shift = (net.parameter(f"{name}.{part}", WIDTH) for part in ("weight", "bias"))
        return net.layer_norm(x, scale=scale, shift=shift)

    for number in range(LAYERS):
        name = f"transformer.h.{number}"
        joined = dense(norm(x, f"{name}.ln_1"), 3 * WIDTH, f"{name}.attn.c_attn")
        parts = []
        for part in range(3):
            own = net.slice(joined, 1, part * WIDTH, (part + 1) * WIDTH)
            parts.append(net.transpose(net.reshape(own, (TOKENS, HEADS, size)), (1, 0, 2)))
        mixed = net.transpose(net.attention(*parts, causal=True), (1, 0, 2))
        mixed = net.reshape(mixed, (TOKENS, WIDTH))
        x = net.add(x, dense(mixed, WIDTH, f"{name}.attn.c_proj"))
        hidden = dense(norm(x, f"{name}.ln_2"), 4 * WIDTH, f"{name}.mlp.c_fc")
        x = net.add(x, dense(net.activation(hidden, "gelu"), WIDTH, f"{name}.mlp.c_proj"))
    x = norm(x, "transformer.ln_f")
    net.output(net.matmul(x, net.transpose(words, (1, 0))))
    return net


@pytest.mark.parametrize("semantics", ["value", "dependency"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_gpt2_is_that_of_its_layers(attention: str, semantics: Any) -> None:
    model = gpt2(attn_implementation=attention)
    found = count(from_torch(model, {"input_ids": IDS}, semantics=semantics))
    expected = count(gpt2_of_layers(semantics))
    assert set(found) == set(expected)
    for name in expected:
        assert found[name].exact().tolist() == expected[name].exact().tolist(), name


def test_a_position_of_llama_has_no_contexts_at_earlier_outputs() -> None:
    model = llama()
    embeddings = torch.zeros(1, TOKENS, WIDTH)

    class First(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.embeddings = torch.nn.Parameter(embeddings)

        def forward(self, given: Any) -> Any:
            return self.model(inputs_embeds=self.embeddings + given).logits[:, 1]

    counts = count(from_torch(First(), torch.zeros(1)))["embeddings"].exact()[0]
    assert (counts[:2] > 0).all()
    assert (counts[2:] == 0).all()


def test_parameters_are_those_of_the_model() -> None:
    for model in (llama(), gpt2()):
        net = from_torch(model, IDS)
        assert net.num_parameters == sum(one.numel() for one in model.parameters())
        assert net.provenance is not None
        reasons = set(net.provenance.skipped.values())
        assert all("state dict leaves out" in one or "same tensor" in one for one in reasons)


MODELS = {
    "gpt2": gpt2,
    "llama": llama,
    "mixtral": lambda: transformers.MixtralForCausalLM(
        transformers.MixtralConfig(**SIZES, num_key_value_heads=1, num_local_experts=3)
    ),
    "mistral": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(**SIZES, num_key_value_heads=1, sliding_window=2)
    ),
    "t5": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=WORDS, d_model=WIDTH, d_kv=4, d_ff=8, num_layers=1, num_heads=HEADS
        )
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_weights_may_be_on_the_meta_device(name: str) -> None:
    totals = []
    for device in ("cpu", "meta"):
        with torch.device(device):
            model = MODELS[name]()
        inputs = {"input_ids": IDS}
        if name == "t5":
            inputs["decoder_input_ids"] = IDS[:, :3]
        totals.append(count(from_torch(model, inputs, outputs=["logits"])).total)
    assert totals[0] == totals[1] > 0


def test_a_sliding_window_takes_more_edges_away() -> None:
    totals = []
    for window in (2, 3, None):
        config = transformers.MistralConfig(**SIZES, num_key_value_heads=1, sliding_window=window)
        totals.append(count(from_torch(transformers.MistralForCausalLM(config), IDS)).total)
    assert totals[0] < totals[1] < totals[2]


def test_outputs_have_names_and_caches_are_none() -> None:
    model = gpt2()
    every = from_torch(model, IDS, kwargs={"output_hidden_states": True})
    assert len(every.outputs) == 1 + LAYERS + 1
    some = from_torch(
        model, IDS, kwargs={"output_hidden_states": True}, outputs=["logits", "hidden_states.1"]
    )
    assert [tensor.shape for tensor in some.outputs] == [(1, TOKENS, WORDS), (1, TOKENS, WIDTH)]
    assert model.config.use_cache
    assert "forward" not in vars(model)
    kept = from_torch(model, IDS, kwargs={"use_cache": True})
    assert kept.provenance is not None
    assert "a DynamicCache, which is no tensor" in kept.provenance.skipped.values()
    assert count(kept).total == count(from_torch(model, IDS)).total
    with pytest.raises(InvalidArgumentError, match=r"'logit'.*did you mean.*logits"):
        from_torch(model, IDS, outputs=["logit"])


def test_counts_do_not_depend_on_how_attention_is_computed() -> None:
    for build in (gpt2, llama):
        totals = {
            count(from_torch(build(attn_implementation=one), IDS)).total
            for one in ("sdpa", "eager")
        }
        assert len(totals) == 1
