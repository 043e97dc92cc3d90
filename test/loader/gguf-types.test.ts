import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadNetwork } from '../../src/engine/load/load-network.ts';
import { openGguf } from '../../src/loader/gguf/open-gguf.ts';
import { GGML_TYPES } from '../../src/loader/gguf/gguf-types.ts';
import { elements } from '../../src/tensor/dtype.ts';
import type { Format } from '../../src/tensor/formats/format.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { Runner } from '../support/fixtures.ts';
import { f32, gguf, key, T, tensor, text, u32 } from './gguf-writer.ts';

const blocks = JSON.parse(readFileSync(new URL('../fixtures/gguf/blocks.json', import.meta.url), 'utf8')) as Record<
  string,
  { blocks: string; values: string }
>;

const folder = mkdtempSync(join(tmpdir(), 'vitrine-types-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const D = 256;
const MATRICES: [name: string, rows: number][] = [
  ['token_embd', 48],
  ['blk.0.attn_q', D],
  ['blk.0.attn_k', D / 2],
  ['blk.0.attn_v', D / 2],
  ['blk.0.attn_output', D],
  ['blk.0.ffn_gate', D],
  ['blk.0.ffn_up', D],
  ['blk.0.ffn_down', D],
];
const VECTORS = ['output_norm', 'blk.0.attn_norm', 'blk.0.ffn_norm'];

/** Writes a llama of one layer, whose matrices are `data` of the type with this number. */
function model(type: number, data: (rows: number) => Buffer, columns = D): string {
  const number = (name: string, value: number) => key(`llama.${name}`, T.u32, u32(value));
  const keys = [
    key('general.architecture', T.text, text('llama')),
    number('block_count', 1),
    number('context_length', 64),
    number('embedding_length', columns),
    number('feed_forward_length', D),
    number('attention.head_count', 4),
    number('attention.head_count_kv', 2),
    key('llama.attention.layer_norm_rms_epsilon', T.f32, f32(1e-5)),
  ];
  const tensors: Buffer[] = [];
  const parts: Buffer[] = [];
  let offset = 0;
  const add = (name: string, dims: number[], kind: number, bytes: Buffer) => {
    tensors.push(tensor(`${name}.weight`, dims, kind, offset));
    const padding = (32 - (bytes.length % 32)) % 32;
    parts.push(bytes, Buffer.alloc(padding));
    offset += bytes.length + padding;
  };
  for (const [name, rows] of MATRICES) add(name, [columns, rows], type, data(rows));
  for (const name of VECTORS) add(name, [D], 0, Buffer.from(new Float32Array(D).fill(1).buffer));
  const file = join(folder, `${type}-${columns}.gguf`);
  writeFileSync(file, gguf({ keys, tensors, data: Buffer.concat(parts) }));
  return file;
}

/** Rows made of two blocks of the fixture in turn, beginning with the other block in every second row. */
function rowsOf(format: Format, rows: number): Buffer {
  const ordinary = Buffer.from(blocks[format.name].blocks, 'base64').subarray(0, 2 * format.blockBytes);
  const perRow = D / format.blockSize;
  return Buffer.concat(
    Array.from({ length: rows * perRow }, (_, i) => {
      const block = (i + Math.floor(i / perRow)) % 2;
      return ordinary.subarray(block * format.blockBytes, (block + 1) * format.blockBytes);
    }),
  );
}

const types = [...GGML_TYPES].flatMap(([number, { name, format }]) =>
  format && format.blockSize > 1 ? [{ number, name, format }] : [],
);

test.each(types)('a model stored as $name equals the model of its values in f32', async ({ number, name, format }) => {
  const decoded = (rows: number): Buffer => {
    const values = new Float32Array(rows * D);
    format.decode(rowsOf(format, rows), values);
    return Buffer.from(values.buffer);
  };
  const paths = [model(number, (rows) => rowsOf(format, rows)), model(0, decoded)];
  const [packed, plain] = await Promise.all(paths.map((path) => openGguf(path)));
  for (const [tensor, { shape, format: stored }] of packed.checkpoint.tensors) {
    const [got, wanted] = [packed, plain].map(() => new Uint8Array(4 * elements(shape)));
    await packed.checkpoint.read(tensor, 'f32', got);
    await plain.checkpoint.read(tensor, 'f32', wanted);
    expect(Buffer.compare(got, wanted), tensor).toBe(0);
    if (shape.length === 2) {
      expect(stored).toBe(name);
      expect(packed.checkpoint.naturalDType(tensor)).toBe('bf16');
    }
  }
  const logits = [];
  for (const files of [packed, plain]) {
    const backend = new ReferenceBackend();
    const runner = Runner.of(backend, await loadNetwork(files, backend, { weights: 'f32' }));
    logits.push([...runner.fresh([1, 2, 3, 40])]);
    runner.dispose();
    await files.checkpoint.close();
  }
  expect(logits[0]).toEqual(logits[1]);
  expect(logits[0].every(Number.isFinite)).toBe(true);
});

test('refuses rows that are not a whole number of blocks, and types that cannot be decoded', async () => {
  await expect(openGguf(model(12, () => Buffer.alloc(0), 96))).rejects.toThrow(
    /Q4_K blocks of 256, got rows of 96 elements/,
  );
  await expect(openGguf(model(26, (rows) => Buffer.alloc(4 * rows * D)))).rejects.toThrow(
    /stored as I32.*Q5_0.*IQ4_XS/,
  );
  await expect(openGguf(model(31, () => Buffer.alloc(0)))).rejects.toThrow(/Q4_0_4_4.*removed.*newer version/);
});
