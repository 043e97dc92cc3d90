import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Format } from '../../src/tensor/formats/format.ts';
import { mxfp4Ggml } from '../../src/tensor/formats/mxfp4-ggml.ts';
import { q4_0 } from '../../src/tensor/formats/q4_0.ts';
import { q4_1 } from '../../src/tensor/formats/q4_1.ts';
import { q4_k } from '../../src/tensor/formats/q4_k.ts';
import { q6_k } from '../../src/tensor/formats/q6_k.ts';
import { q8_0 } from '../../src/tensor/formats/q8_0.ts';

// Random blocks (with scales of zero, minus zero, the smallest and the largest half) and the f32 bytes to which llama.cpp's
// Python package gguf 0.19.0 (quants.dequantize) decodes them.
const fixture = JSON.parse(readFileSync(new URL('../fixtures/gguf/blocks.json', import.meta.url), 'utf8')) as Record<
  string,
  { blocks: string; values: string }
>;

test.each<Format>([q8_0, q4_0, q4_1, q4_k, q6_k, mxfp4Ggml])('$name decodes bit for bit as llama.cpp', (format) => {
  const blocks = Buffer.from(fixture[format.name].blocks, 'base64');
  const expected = Buffer.from(fixture[format.name].values, 'base64');
  const values = new Float32Array((blocks.length / format.blockBytes) * format.blockSize);
  format.decode(blocks, values);
  expect(Buffer.from(values.buffer).equals(expected)).toBe(true);
});
