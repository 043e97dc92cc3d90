import { describe, expect, it } from 'vitest';
import { load } from '../../../src/index.ts';
import { loadNetwork } from '../../../src/engine/load/load-network.ts';
import type { ModelFiles } from '../../../src/loader/model-files.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import type { Backend } from '../../../src/tensor/backend.ts';
import { createBackend } from '../../../src/tensor/backends.ts';
import { liveTensors } from '../../../src/tensor/tensor.ts';
import { modelFolder } from '../../support/fixtures.ts';
import { TESTED_BACKENDS } from '../../support/tested-backends.ts';

/** The backend, and how many bytes `allocate` gave that neither `upload` took nor `discard` gave back. */
function counting(backend: Backend): { backend: Backend; open: () => number } {
  const given = new Set<Uint8Array>();
  const traps: Partial<Backend> = {
    allocate: (bytes) => {
      const memory = backend.allocate(bytes);
      given.add(memory);
      return memory;
    },
    discard: (bytes) => {
      given.delete(bytes);
      backend.discard(bytes);
    },
    upload: (bytes, shape, dtype) => {
      given.delete(bytes);
      return backend.upload(bytes, shape, dtype);
    },
    uploadPacked: (matrix) => {
      given.delete(matrix.codes);
      return backend.uploadPacked(matrix);
    },
  };
  const get = (_: Backend, name: keyof Backend): unknown => {
    const member: unknown = name in traps ? Reflect.get(traps, name) : Reflect.get(backend, name);
    return typeof member === 'function' ? (member as () => unknown).bind(backend) : member;
  };
  const open = (): number => [...given].reduce((sum, { length }) => sum + length, 0);
  return { backend: new Proxy(backend, { get }), open };
}

/** The files, whose n-th read ends as `ending` says. */
const failingAt = (files: ModelFiles, n: number, ending: () => void): { files: ModelFiles; reads: () => number } => {
  let reads = 0;
  const { tensors } = files.checkpoint;
  const checkpoint: ModelFiles['checkpoint'] = {
    tensors,
    naturalDType: (name) => files.checkpoint.naturalDType(name),
    close: () => files.checkpoint.close(),
    read: async (name, dtype, target, signal, start) => {
      await files.checkpoint.read(name, dtype, target, signal, start);
      if (reads++ === n) ending();
      signal?.throwIfAborted();
    },
  };
  return { files: { ...files, checkpoint }, reads: () => reads };
};

// Plain and joined matrices; MXFP4 and FP8, whose codes and scales are read apart; arranged on the way.
const MODELS = ['llama_gqa_tied', 'gpt2', 'gpt_oss_mxfp4', 'deepseek_v3_fp8'];

describe.each(TESTED_BACKENDS)('a load that ends in the middle, on %s', (name) => {
  it.each(MODELS)('gives all memory back, at whatever read of %s', async (model) => {
    const { backend, open } = counting(createBackend(name));
    const whole = await openFolder(modelFolder(model));
    try {
      const all = failingAt(whole, Infinity, () => undefined);
      (await loadNetwork(all.files, backend)).dispose();
      const base = [liveTensors(), backend.liveHandles(), open()];
      expect(open()).toBe(0);
      expect(all.reads()).toBeGreaterThan(10);
      const step = Math.max(1, Math.floor(all.reads() / 13));
      for (let n = 0; n < all.reads(); n += step) {
        const failing = failingAt(whole, n, () => {
          throw new Error(`read ${n}`);
        });
        await expect(loadNetwork(failing.files, backend)).rejects.toThrow(`read ${n}`);
        const controller = new AbortController();
        const aborted = failingAt(whole, n, () => {
          controller.abort(new Error(`abort ${n}`));
        });
        await expect(loadNetwork(aborted.files, backend, { signal: controller.signal })).rejects.toThrow(`abort ${n}`);
        expect([liveTensors(), backend.liveHandles(), open()], `read ${n}`).toEqual(base);
      }
    } finally {
      await whole.checkpoint.close();
    }
  });
});

describe('models of one process', () => {
  it.each(TESTED_BACKENDS)('share a backend, so that activations go from one to another, on %s', async (backend) => {
    using a = await load(modelFolder('llama_gqa_tied'), { backend });
    using b = await load(modelFolder('llama_gqa_tied'), { backend });
    expect(a.backend).toBe(b.backend);
    const { acts, dispose } = a.run([1, 2, 3], { capture: ['blocks.0.hook_resid_post'] });
    const patched = b.run([4, 5, 6], {
      edit: { 'blocks.0.hook_resid_post': (own) => own.mul(0).add(acts['blocks.0.hook_resid_post']) },
    });
    using plain = a.forward([1, 2, 3], { logits: 'all', compute: 'f32' });
    expect(patched.logits.data()).toEqual(plain.data());
    patched.dispose();
    dispose();
  });

  it('take one number of threads, and a second load that asks for another hears which', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { backend: 'tensorflow' });
    const has = /on (\d+) threads/.exec(model.backend.description)?.[1];
    using same = await load(modelFolder('llama_gqa_tied'), { backend: 'auto', threads: Number(has) });
    expect(same.backend).toBe(model.backend);
    for (const backend of ['tensorflow', 'auto'] as const)
      await expect(load(modelFolder('llama_gqa_tied'), { backend, threads: Number(has) + 1 })).rejects.toThrow(
        `TensorFlow was loaded with threads = ${has} and cannot change to ${Number(has) + 1} in this process.`,
      );
  });
});
