"""Records the activations of a transformers model under Vitrine's hook names, for `vitrine diff` and `loadRecording`.

    python scripts/dump-transformers.py MODEL dump.safetensors --prompt "The capital of France is"
    vitrine diff MODEL dump.safetensors

MODEL is a folder or the id of a repository. Needs torch, transformers (checked with 5.24; module names of 4.57 are the same) and
safetensors. The names are for models whose modules are called as Llama's, with the norms of Gemma and OLMo 2, joined projections
of Phi 3, mixtures (router logits, output), and latent attention (latents, patterns, output); GPT-2 and GPT-NeoX likewise. Of any
other model it records the embeddings, the residual stream before and after each layer, and the logits.

Attention is `eager`, since other implementations give no pattern. One prompt, no batch: the first axis is dropped.
"""

import argparse
import json
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class Recorder:
    """Tensors by hook name, in the order in which the pass makes them."""

    def __init__(self):
        self.tensors = {}
        self.axes = {}

    def put(self, name, axes, value):
        """Keeps the first value of a name, without its batch axis."""
        if name in self.tensors:
            return
        shape = value.shape[1:] if value.dim() > len(axes.split()) else value.shape
        value = value.detach().reshape(shape)
        self.tensors[name] = (value if value.dtype == torch.int32 else value.float()).clone().contiguous()
        self.axes[name] = axes

    def heads(self, name, axes, value, count):
        """Keeps `[1, T, count * width]` as `[T, count, width]`."""
        self.put(name, axes, value.reshape(value.shape[1], count, -1))


def first(output):
    """The tensor of a module's output."""
    return output[0] if isinstance(output, (tuple, list)) else output


def child(module, *names):
    """The first submodule that a module has; None for none."""
    return next((found for found in (getattr(module, name, None) for name in names) if isinstance(found, nn.Module)), None)


def on_output(module, keep):
    if module is not None:
        module.register_forward_hook(lambda _module, _args, output: keep(first(output)))


def on_input(module, keep):
    if module is not None:
        module.register_forward_pre_hook(
            lambda _module, args, kwargs: keep(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )


def hook_attention(recorder, path, attention, config):
    heads = config.num_attention_heads
    is_latent = getattr(attention, "kv_lora_rank", None) is not None
    width = getattr(attention, "head_dim", None) or config.hidden_size // heads
    groups = getattr(config, "num_key_value_heads", None) or heads

    def put_qkv(q, k, v):
        recorder.heads(f"{path}.hook_q", "p h e", q, heads)
        recorder.heads(f"{path}.hook_k", "p g e", k, groups)
        recorder.heads(f"{path}.hook_v", "p g e_v", v, groups)

    def put_interleaved(qkv):  # GPT-NeoX: q, k and v of one head lie side by side.
        parts = qkv.reshape(1, qkv.shape[1], heads, -1).chunk(3, dim=-1)
        put_qkv(*(part.flatten(2) for part in parts))

    on_input(attention, lambda x: recorder.put(f"{path}.hook_in", "p d", x))
    if is_latent:
        on_output(child(attention, "q_a_layernorm"), lambda x: recorder.put(f"{path}.hook_q_latent", "p r_q", x))
        on_output(child(attention, "kv_a_layernorm"), lambda x: recorder.put(f"{path}.hook_kv_latent", "p r_kv", x))
    else:
        on_output(child(attention, "q_proj"), lambda x: recorder.heads(f"{path}.hook_q", "p h e", x, heads))
        on_output(child(attention, "k_proj"), lambda x: recorder.heads(f"{path}.hook_k", "p g e", x, groups))
        on_output(child(attention, "v_proj"), lambda x: recorder.heads(f"{path}.hook_v", "p g e_v", x, groups))
        sizes = [heads * width, groups * width, groups * width]
        on_output(child(attention, "qkv_proj", "c_attn"), lambda x: put_qkv(*x.split(sizes, dim=-1)))
        on_output(child(attention, "query_key_value"), put_interleaved)

        def by_token(x):  # Gemma 3 norms [1, heads, T, width], the others [1, T, heads, width] or [1, T, heads * width].
            return (x.transpose(1, 2) if config.model_type.startswith("gemma3") else x).flatten(2)

        on_output(child(attention, "q_norm"), lambda x: recorder.heads(f"{path}.hook_q_normed", "p h e", by_token(x), heads))
        on_output(child(attention, "k_norm"), lambda x: recorder.heads(f"{path}.hook_k_normed", "p g e", by_token(x), groups))
    output = child(attention, "o_proj", "c_proj", "dense")
    on_input(output, lambda x: recorder.heads(f"{path}.hook_z", "p h e_v", x, heads))
    on_output(output, lambda x: recorder.put(f"{path}.hook_out", "p d", x))

    def put_pattern(_module, _args, result):
        if isinstance(result, tuple) and len(result) > 1 and isinstance(result[1], torch.Tensor):
            recorder.put(f"{path}.hook_pattern", "h p t", result[1])

    attention.register_forward_hook(put_pattern)


def hook_rotation(recorder, attentions):
    """Records what `apply_rotary_pos_emb` of the model's own file gives: queries and keys `[1, heads, T, width]`."""
    file = sys.modules[type(attentions[0]).__module__]
    rotate = getattr(file, "apply_rotary_pos_emb", None)
    if rotate is None or getattr(attentions[0], "kv_lora_rank", None) is not None:
        return
    current = []
    for index, attention in enumerate(attentions):
        attention.register_forward_pre_hook(lambda _module, _args, index=index: current.append(index))

    def rotate_and_keep(*args, **kwargs):
        q, k = rotate(*args, **kwargs)
        path = f"blocks.{current[-1]}.attn"
        recorder.put(f"{path}.hook_rot_q", "p h e", q[0].transpose(0, 1))
        recorder.put(f"{path}.hook_rot_k", "p g e", k[0].transpose(0, 1))
        return q, k

    file.apply_rotary_pos_emb = rotate_and_keep


def hook_mlp(recorder, path, mlp):
    """A dense MLP: gate and up branch apart or joined, or one branch only."""
    gate, up = child(mlp, "gate_proj"), child(mlp, "up_proj")
    joined = child(mlp, "gate_up_proj")
    down = child(mlp, "down_proj", "c_proj", "dense_4h_to_h")
    on_output(gate, lambda x: recorder.put(f"{path}.hook_pre", "p f", x))
    on_output(up, lambda x: recorder.put(f"{path}.hook_pre_linear", "p f", x))

    def put_joined(x):
        halves = x.chunk(2, dim=-1)
        recorder.put(f"{path}.hook_pre", "p f", halves[0])
        recorder.put(f"{path}.hook_pre_linear", "p f", halves[1])

    on_output(joined, put_joined)
    on_output(child(mlp, "c_fc", "dense_h_to_4h"), lambda x: recorder.put(f"{path}.hook_pre", "p f", x))
    on_input(down, lambda x: recorder.put(f"{path}.hook_post", "p f", x))


def hook_layer(recorder, index, layer, config):
    path = f"blocks.{index}"
    attention = child(layer, "self_attn", "attn", "attention")
    mlp = child(layer, "mlp", "block_sparse_moe")
    factor = getattr(layer, "residual_multiplier", 1.0)  # Granite
    norms_outputs = child(layer, "post_feedforward_layernorm") is not None  # Gemma 2 and 3, OLMo 2
    on_input(layer, lambda x: recorder.put(f"{path}.hook_resid_pre", "p d", x))
    if attention is not None:
        hook_attention(recorder, f"{path}.attn", attention, config)
        added = layer.post_attention_layernorm if norms_outputs else attention
        on_output(added, lambda x: recorder.put(f"{path}.hook_attn_out", "p d", x * factor))
    before_mlp = child(layer, "pre_feedforward_layernorm", "ln_2") or (
        mlp if norms_outputs else child(layer, "post_attention_layernorm")
    )
    if not getattr(layer, "use_parallel_residual", False):  # GPT-NeoX
        on_input(before_mlp, lambda x: recorder.put(f"{path}.hook_resid_mid", "p d", x))
    if mlp is not None:
        on_input(mlp, lambda x: recorder.put(f"{path}.mlp.hook_in", "p d", x))
        router = child(mlp, "gate", "router")
        on_output(router, lambda x: recorder.put(f"{path}.mlp.router.hook_logits", "p E", x.reshape(-1, x.shape[-1])))
        if child(mlp, "shared_experts") is not None:
            hook_mlp(recorder, f"{path}.mlp.shared", mlp.shared_experts)
            on_output(mlp.shared_experts, lambda x: recorder.put(f"{path}.mlp.shared.hook_out", "p d", x))
        if router is None:
            hook_mlp(recorder, f"{path}.mlp", mlp)
        on_output(mlp, lambda x: recorder.put(f"{path}.mlp.hook_out", "p d", x))
        added = layer.post_feedforward_layernorm if norms_outputs else mlp
        on_output(added, lambda x: recorder.put(f"{path}.hook_mlp_out", "p d", x * factor))
    on_output(layer, lambda x: recorder.put(f"{path}.hook_resid_post", "p d", x))


def hook_model(recorder, model):
    config = model.config.get_text_config()
    trunk = model.base_model
    layers = next(
        module
        for module in trunk.modules()
        if isinstance(module, nn.ModuleList) and len(module) == config.num_hidden_layers
    )
    positions = child(trunk, "wpe")
    if positions is None:  # Some models scale what the embedding gives: what enters the first layer is scaled.
        on_input(layers[0], lambda x: recorder.put("hook_embed", "p d", x))
    else:
        on_output(model.get_input_embeddings(), lambda x: recorder.put("hook_embed", "p d", x))
        on_output(positions, lambda x: recorder.put("hook_pos_embed", "p d", x))
    for index, layer in enumerate(layers):
        hook_layer(recorder, index, layer, config)
    attentions = [child(layer, "self_attn", "attn", "attention") for layer in layers]
    if all(attention is not None for attention in attentions):
        hook_rotation(recorder, attentions)
    on_output(child(trunk, "norm", "ln_f", "final_layer_norm"), lambda x: recorder.put("ln_final.hook_out", "p d", x))
    on_output(model.get_output_embeddings(), lambda x: recorder.put("unembed.hook_out", "l V", x))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, or the id of a repository")
    parser.add_argument("file", help="the safetensors file to be written")
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", help="a text")
    prompt.add_argument("--tokens", help="token ids, with commas between them")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="dtype of weights and activations")
    arguments = parser.parse_args()

    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=DTYPES[arguments.dtype], attn_implementation="eager"
    ).eval()
    if arguments.tokens is None:
        tokens = AutoTokenizer.from_pretrained(arguments.model)(arguments.prompt)["input_ids"]
    else:
        tokens = [int(token) for token in arguments.tokens.split(",")]
    recorder = Recorder()
    recorder.put("hook_tokens", "p", torch.tensor(tokens, dtype=torch.int32))
    hook_model(recorder, model)
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), use_cache=False).logits
    recorder.put("hook_logits", "l V", logits)
    metadata = {
        "model": arguments.model,
        "tokens": json.dumps(tokens),
        "precision": arguments.dtype,
        "hooks": json.dumps(list(recorder.axes.items())),
    }
    save_file(recorder.tensors, arguments.file, metadata)
    print(f"{len(recorder.tensors)} activations of {len(tokens)} tokens in {arguments.file}")


if __name__ == "__main__":
    main()
