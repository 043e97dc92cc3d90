"""PyTorch and transformers, behind the requests of serve.mjs."""

import json
import os
import sys
import time

replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # What libraries print is not a reply.

import torch  # noqa: E402
import transformers  # noqa: E402


def say(message):
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def generate(model, prompt):
    """Greedy tokens after a prompt."""
    ids, cache = torch.tensor([prompt]), None
    while True:
        out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        token = int(out.logits[0, -1].argmax())
        yield token
        ids = torch.tensor([[token]])


def measure(model, prompt, count):
    begun = time.perf_counter()
    tokens = generate(model, prompt)
    chosen = [next(tokens)]
    first = time.perf_counter()
    chosen += [next(tokens) for _ in range(count - 1)]
    return {"first": first - begun, "rest": time.perf_counter() - first, "tokens": chosen}


settings = json.loads(sys.argv[1])
torch.set_num_threads(settings["threads"])
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
model = transformers.AutoModelForCausalLM.from_pretrained(
    settings["model"], dtype=getattr(torch, settings["dtype"]), local_files_only=True
).eval()
say({"version": f"transformers {transformers.__version__}, PyTorch {torch.__version__}"})
with torch.inference_mode():
    for line in sys.stdin:
        request = json.loads(line)
        say(measure(model, request["prompt"], request["count"]))
