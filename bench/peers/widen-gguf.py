"""Writes a GGUF file once more with its matrices in another format: widen-gguf.py SOURCE TARGET BF16|F16|Q8_0."""

import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, dequantize, quantize

source, target, name = sys.argv[1:]
to = GGMLQuantizationType[name]
reader = GGUFReader(source)
writer = GGUFWriter(target, reader.get_field("general.architecture").contents())
writer.add_file_type(LlamaFileType["MOSTLY_" + name])
for field in reader.fields.values():
    if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
        continue
    kind, *inner = field.types
    writer.add_key_value(field.name, field.contents(), kind, inner[-1] if kind == GGUFValueType.ARRAY else None)
for tensor in reader.tensors:
    values = dequantize(tensor.data, tensor.tensor_type)
    if len(tensor.shape) < 2:
        writer.add_tensor(tensor.name, np.asarray(values, dtype=np.float32))
    else:
        writer.add_tensor(tensor.name, quantize(values, to), raw_dtype=to)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
