import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GGML_TYPES } from '../../src/loader/gguf/gguf-types.ts';

// Blocks of every format, some with scales that are 0, infinite or no number, and the f32 bytes to which llama.cpp's Python package
// gguf 0.19.0 (quants.dequantize) decodes them: see fixtures/gguf/blocks.py.
const fixture = JSON.parse(readFileSync(new URL('../fixtures/gguf/blocks.json', import.meta.url), 'utf8')) as Record<
  string,
  { blocks: string; values: string }
>;

/** The bits of f32 numbers, NaN as 0x7fc00000: JavaScript does not keep the others that NaN has. */
const bitsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length).map((bits, i) =>
    Number.isNaN(values[i]) ? 0x7fc0_0000 : bits,
  );

const formats = [...GGML_TYPES.values()].flatMap(({ format }) => (format && format.blockSize > 1 ? [format] : []));

test('every format of blocks has its fixture', () => {
  expect(formats.map(({ name }) => name).sort()).toEqual(Object.keys(fixture).sort());
});

test.each(formats)('$name decodes bit for bit as llama.cpp', (format) => {
  const blocks = Buffer.from(fixture[format.name].blocks, 'base64');
  const expected = Buffer.from(fixture[format.name].values, 'base64');
  const values = new Float32Array((blocks.length / format.blockBytes) * format.blockSize);
  format.decode(blocks, values);
  const bits = new Uint32Array(expected.buffer, expected.byteOffset, expected.length / 4);
  expect(values.length).toBe(bits.length);
  expect(bitsOf(values)).toEqual(bits);
});
