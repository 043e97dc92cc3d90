import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

import { addressSpace } from '../../src/platform/address-space.ts';
import { newSharedMemory } from '../../src/tensor/cpu/shared-memory.ts';
import { modelFolder } from '../support/fixtures.ts';

const bin = fileURLToPath(new URL('../../dist/cli/bin.js', import.meta.url));
const run = promisify(execFile);

test('is read as Linux tells it', () => {
  const files: Record<string, string> = {
    '/proc/self/limits':
      'Max cpu time   unlimited   unlimited   seconds\nMax address space         24576000000          24576000000          bytes     \n',
    '/proc/self/status': 'Name:\tnode\nVmPeak:\t 2000000 kB\nVmSize:\t 1000000 kB\n',
  };
  expect(addressSpace((path) => files[path])).toEqual({ limit: 24576000000, left: 24576000000 - 1024000000 });
  files['/proc/self/limits'] = 'Max address space         unlimited            unlimited            bytes     \n';
  expect(addressSpace((path) => files[path])).toEqual({ limit: Infinity, left: Infinity });
  expect(addressSpace(() => undefined)).toEqual({ limit: Infinity, left: Infinity });
});

test('without room for the guard pages of a memory, there is none', () => {
  expect(newSharedMemory(11e9)).toBeUndefined();
  expect(newSharedMemory(14e9)).toBeDefined();
});

// As batch systems limit jobs. 24 GB once ended in native code, 8 GB before the first line.
describe.runIf(process.platform === 'linux')('under ulimit -v', () => {
  test.each([3, 8, 24, 40])(
    'of %d GB, a model answers',
    async (gigabytes) => {
      const command = `ulimit -c 0; ulimit -v ${gigabytes * 1e6}; exec "$0" "$@"`;
      const args = ['generate', 'hi', '--raw', '--max-tokens', '3', '--temperature', '0', '--ignore-eos', '--json'];
      const model = modelFolder('llama_gqa_tied');
      const { stdout } = await run('sh', ['-c', command, process.execPath, bin, ...args, '--model', model]);
      expect(JSON.parse(stdout)).toMatchObject({ finishReason: 'length' });
    },
    60_000,
  );

  test('of 2 GB, TensorFlow is refused in one line that says what it needs', async () => {
    const command = 'ulimit -c 0; ulimit -v 2000000; exec "$0" "$@"';
    const args = ['generate', 'hi', '--raw', '--backend', 'tensorflow', '--model', modelFolder('llama_gqa_tied')];
    const failed = run('sh', ['-c', command, process.execPath, bin, ...args]);
    await expect(failed).rejects.toThrow(
      /vitrine: The address space is limited to 2\.05 GB \(ulimit -v\), of which .* are left\. TensorFlow needs about .*--backend reference/,
    );
  }, 60_000);
});
