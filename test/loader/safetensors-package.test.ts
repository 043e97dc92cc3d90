import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSafetensors, writeSafetensors } from '../../src/index.ts';

/** The npm package `safetensors`, which has no types, and reads only files without `__metadata__`. */
interface OtherReader {
  readonly SafeTensor: new (file: Uint8Array) => {
    readonly metadata: ReadonlyMap<string, { readonly dtype: string; readonly shape: number[] }>;
    getTensor(name: string): Uint8Array;
  };
}
const { SafeTensor } = createRequire(import.meta.url)('safetensors') as OtherReader;

test('the npm package safetensors reads written files as openSafetensors does', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vitrine-second-'));
  const path = join(folder, 'model.safetensors');
  await writeSafetensors(path, {
    weight: { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 1e-30, Infinity) },
    half: { dtype: 'BF16', shape: [3], data: Uint16Array.of(0x3f80, 0xc000, 0x7fc0) },
    bytes: { dtype: 'U8', shape: [5], data: Uint8Array.of(1, 2, 3, 4, 5) },
  });
  const ours = await openSafetensors(path);
  const other = new SafeTensor(new Uint8Array(readFileSync(path)));
  expect([...other.metadata.keys()].sort()).toEqual([...ours.tensors.keys()].sort());
  for (const [name, { dtype, shape }] of ours.tensors) {
    const { data } = await ours.read(name);
    expect(other.metadata.get(name)).toMatchObject({ dtype, shape });
    expect([...other.getTensor(name)]).toEqual([...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]);
  }
  await ours.close();
  rmSync(folder, { recursive: true });
});
