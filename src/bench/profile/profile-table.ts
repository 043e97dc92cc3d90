import { alignedRows } from '../write/aligned-rows.ts';
import type { PassProfile } from './pass-profile.ts';
import type { Profile } from './profile-model.ts';

/** The profile for a terminal: for each pass a table by op, and one by layer. */
export function profileTable({ fingerprint, model, backend, weightBytes, decode, prefill }: Profile): string {
  const { cpu, cores, load, node } = fingerprint;
  const about = [
    `${model}, ${(weightBytes / 1e6).toFixed(0)} MB of weights`,
    `${cpu}, ${cores} cores, load ${load.toFixed(1)}; Node ${node}; ${backend}`,
  ];
  const passes = [
    passTable(`a token behind ${decode.depth}`, decode),
    ...(prefill === undefined ? [] : [passTable(`a prompt of ${prefill.tokens}`, prefill)]),
  ];
  return `${[about.join('\n'), ...passes].join('\n\n')}\n`;
}

function passTable(title: string, pass: PassProfile): string {
  const { seconds, recordedSeconds, unaccounted, calls } = pass;
  const share = (part: number): string => `${((100 * part) / recordedSeconds).toFixed(1)}%`;
  const byOp = [
    ['op', 'weight', 'calls', 'ms', 'share', 'MB read', 'GB/s', 'kernels'],
    ...pass.ops.map(({ op, weight, calls, seconds, bytes, bytesPerSecond, kernels }) => [
      op,
      weight,
      count(calls),
      ms(seconds),
      share(seconds),
      bytes === 0 ? '' : (bytes / 1e6).toFixed(2),
      bytes < 1e5 ? '' : (bytesPerSecond / 1e9).toFixed(1),
      kernels.join(', '),
    ]),
    ['not in ops', '', '', ms(unaccounted), share(unaccounted), '', '', ''],
  ];
  const byLayer = [
    ['layer', 'calls', 'ms in ops', 'ms between', 'share', 'MB read'],
    ...pass.layers.map(({ layer, calls, seconds, between, bytes }) => [
      layer,
      count(calls),
      ms(seconds),
      ms(between),
      share(seconds + between),
      (bytes / 1e6).toFixed(2),
    ]),
  ];
  return [
    `${title}: ${ms(seconds)} ms; recorded ${ms(recordedSeconds)} ms with ${count(calls)} calls, of which ${share(unaccounted)} is not in ops`,
    ...alignedRows(byOp),
    '',
    ...alignedRows(byLayer),
  ].join('\n');
}

const ms = (seconds: number): string => (1000 * seconds).toFixed(3);
const count = (calls: number): string => calls.toFixed(Math.abs(calls - Math.round(calls)) < 1e-6 ? 0 : 1);
