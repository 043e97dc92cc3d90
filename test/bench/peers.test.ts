import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { comparePeers, printPeers } from '../../bench/peers/table.mjs';
import { takeTurns } from '../../bench/peers/turns.mjs';
import { load } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';

const SOURCE = modelFolder('llama_gqa_tied');
const PEERS = join(import.meta.dirname, '..', '..', 'bench', 'peers');

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
  it('takes ratios of the same round', () => {
    // Half as fast in each round, while the machine itself becomes ten times slower.
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

  it('prints a table, versions and what is left out', () => {
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

  it('asks an engine in a process of its own for the tokens that it would generate here', async () => {
    using model = await load(SOURCE, { backend: 'tensorflow', weights: 'f32' });
    const expected: number[] = [];
    const options = { maxTokens: 4, temperature: 0, ignoreEos: true };
    for await (const { token } of model.generate([5, 6, 7], options)) expected.push(token);
    const settings = JSON.stringify({ model: SOURCE, weights: 'f32', threads: 2 });
    const { stdout } = spawnSync(process.execPath, [join(PEERS, 'engines', 'vitrine.mjs'), settings], {
      encoding: 'utf8',
      input: `${JSON.stringify({ prompt: [5, 6, 7], count: 4 })}\n`,
    });
    const [ready, reply] = stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
    expect(ready.version).toMatch(/^vitrine .*TensorFlow/);
    expect(reply.tokens).toEqual(expected);
    expect([reply.first, reply.rest]).toEqual([expect.any(Number), expect.any(Number)]);
  });

  it('asks in turns, and leaves out what cannot be had or ends early', async () => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const engine = (model: string) => ({ command: process.execPath, program: 'vitrine.mjs', settings: { model, weights: 'bf16' } }); // prettier-ignore
    const rows = [
      { name: 'vitrine', weights: 'bf16', start: () => engine(SOURCE) },
      { name: 'absent', weights: 'f32', start: () => Promise.reject(new Error('no such package')) },
      { name: 'broken', weights: 'f32', start: () => engine('/nonexistent') },
      { name: 'missing', weights: 'f32', start: () => ({ ...engine(SOURCE), command: '/nonexistent/python' }) },
    ];
    const options = { prompts: { long: [1, 2, 3, 4], text: [5, 6] }, tg: 2, rounds: 2, threads: 2 };
    const { peers, leftOut } = await takeTurns(rows, options);
    expect(peers.map(({ name, samples, tokens }) => [name, samples.length, tokens.length])).toEqual([
      ['vitrine', 2, 3],
    ]);
    expect(leftOut).toEqual([
      'absent, f32: no such package',
      expect.stringMatching(/^broken, f32: ended early: .*\/nonexistent: no such folder/),
      'missing, f32: ended early: Error: spawn /nonexistent/python ENOENT',
    ]);
  });
});
