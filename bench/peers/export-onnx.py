"""Exports a model folder as an ONNX graph with ONNX Runtime's own attention op: export-onnx.py MODEL TARGET fp32|int4."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx

source, target, precision = sys.argv[1:]
graph = Path(target, "onnx")
builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", "", "-e", "cpu", "-p", precision]
last_row_only = ["--extra_options", "prune_lm_head=true"]  # As in the other engines.
files = ["-i", source, "-o", graph, "-c", Path(target, "cache")]
subprocess.run([*builder, *files, *last_row_only], check=True, stdout=sys.stderr)

# transformers.js makes the empty cache by the sizes that the graph declares, and takes those with a name for 0.
config = json.loads(Path(source, "config.json").read_text())
head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
model = onnx.load(graph / "model.onnx", load_external_data=False)
for value in model.graph.input:
    if value.name.startswith("past_key_values."):
        value.type.tensor_type.shape.dim[3].dim_value = head_dim
onnx.save(model, graph / "model.onnx")
shutil.copy(Path(source, "config.json"), target)
