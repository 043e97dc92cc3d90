import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { comparePeers, printPeers } from '../../bench/peers/table.mjs';
import { takeTurns } from '../../bench/peers/turns.mjs';
import { load } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';

const SOURCE = modelFolder('llama_gqa_tied');

const peer = (name: string, rates: readonly number[], tokens: number[]) => ({
  name,
  weights: 'bf16',
  version: `${name} 1`,
  ready: 1.5,
  samples: rates.map((rate) => ({ prefill: 10 * rate, decode: rate })),
  tokens,
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe('bench:peers', () => {
  it('compares rates of the same round', () => {
    // Half as fast in each round, on a machine that becomes ten times slower.
    const [ours, other] = comparePeers([
      peer('vitrine', [100, 30, 10], [7, 8, 9]),
      peer('other', [50, 15, 5], [7, 8, 1]),
    ]);
    expect(ours.decode).toMatchObject({ median: 30, ratio: { median: 1, low: 1, high: 1 } });
    expect(other.decode).toMatchObject({
      median: 15,
      ratio: { median: 0.5, low: 0.5, high: 0.5 },
      samples: [50, 15, 5],
    });
    expect([ours.agrees, other.agrees]).toEqual([3, 2]);
  });

  it('prints a table, the versions, and the engines that were left out', () => {
    const text = printPeers({
      model: 'm',
      options: { pp: 8, tg: 2, rounds: 3, threads: 2 },
      machine: { cpu: 'C', cores: 2, node: 'v20' },
      date: 'D',
      load: [0.5, 3],
      rows: comparePeers([peer('vitrine', [10, 10, 10], [1, 2, 3]), peer('other', [5, 5, 5], [1, 2, 3])]),
      leftOut: ['pytorch, bf16: no python3'],
    });
    expect(text).toContain('C, 2 cores, 2 threads each; Node v20; D; load 0.5 to 3.0');
    expect(text).toContain(
      '| other | bf16 | 50.0 (50.0 to 50.0) | 0.50 (0.50 to 0.50) | 5.0 (5.0 to 5.0) | 0.50 (0.50 to 0.50) | 3 of 3 | 1.5 |',
    );
    expect(text).toContain('- other 1\n- left out: pytorch, bf16: no python3\n');
  });

  describe('with an engine that runs and others that cannot', () => {
    const text = [5, 6, 7];
    let result: Awaited<ReturnType<typeof takeTurns>>;
    beforeAll(async () => {
      vi.spyOn(process.stderr, 'write').mockReturnValue(true);
      const engine = (model: string) => ({
        command: process.execPath,
        program: 'vitrine.mjs',
        settings: { model, weights: 'f32' },
      });
      const rows = [
        { name: 'vitrine', weights: 'f32', start: () => engine(SOURCE) },
        { name: 'absent', weights: 'f32', start: () => Promise.reject(new Error('no such package')) },
        { name: 'broken', weights: 'f32', start: () => engine('/nonexistent') },
        { name: 'missing', weights: 'f32', start: () => ({ ...engine(SOURCE), command: '/nonexistent/python' }) },
      ];
      result = await takeTurns(rows, { prompts: { long: [1, 2, 3, 4], text }, tg: 3, rounds: 2, threads: 2 });
    });

    it('gets the tokens that the engine generates, its version, and the times of each round', async () => {
      using model = await load(SOURCE, { backend: 'reference', weights: 'f32' });
      const expected: number[] = [];
      const options = { maxTokens: 4, temperature: 0, ignoreEos: true };
      for await (const { token } of model.generate(text, options)) expected.push(token);
      expect(result.peers).toMatchObject([
        { name: 'vitrine', tokens: expected, version: expect.stringMatching(/^vitrine .*TensorFlow/) as string },
      ]);
      const rates = { prefill: expect.any(Number) as number, decode: expect.any(Number) as number };
      expect(result.peers[0].samples).toEqual([rates, rates]);
    });

    it('leaves out engines that cannot be started or end early, with the reason', () => {
      expect(result.leftOut).toEqual([
        'absent, f32: no such package',
        expect.stringMatching(/^broken, f32: ended early: .*\/nonexistent: no such folder/),
        'missing, f32: ended early: Error: spawn /nonexistent/python ENOENT',
      ]);
    });
  });
});
