import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { convertedModelFolder } from '../../src/loader/default-model.ts';
import { tensorDigests } from '../loader/tensor-digests.ts';

// Dtype, shape and SHA-256 of each of its tensors in bf16, computed from the same GGUF file by another program.
const expected = new URL('../fixtures/real/tensors.json', import.meta.url);

test("the default model's GGUF is converted to the expected bytes", () => {
  const folder = convertedModelFolder();
  expect(existsSync(folder), `${folder} is missing: run \`npm test\`, which fetches it`).toBe(true);
  expect(tensorDigests(folder)).toEqual(JSON.parse(readFileSync(expected, 'utf8')));
});
