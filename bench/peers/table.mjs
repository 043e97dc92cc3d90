import { estimate } from '../../dist/bench/timing/statistics.js';

/**
 * Medians with their intervals, and ratios to the first row. A ratio compares samples of one round, which a slow phase of the
 * machine affects alike.
 *
 * @typedef {{ prefill: number, decode: number }} Sample Tokens per second.
 * @typedef {{ name: string, weights: string, version: string, ready: number, samples: Sample[], tokens: number[] }} Peer
 * @param {readonly Peer[]} peers
 */
export function comparePeers(peers) {
  const [ours] = peers;
  return peers.map((peer) => {
    const figures = (/** @type {'prefill' | 'decode'} */ which) => ({
      ...estimate([peer.samples.map((sample) => sample[which])]),
      ratio: estimate([peer.samples.map((sample, round) => sample[which] / ours.samples[round][which])]),
      samples: peer.samples.map((sample) => sample[which]),
    });
    const differs = peer.tokens.findIndex((token, i) => token !== ours.tokens[i]);
    return {
      name: peer.name,
      version: peer.version,
      weights: peer.weights,
      ready: peer.ready,
      prefill: figures('prefill'),
      decode: figures('decode'),
      agrees: differs < 0 ? peer.tokens.length : differs,
    };
  });
}

/**
 * @param {object} result The JSON that `run-peers.mjs` writes.
 * @param {string} result.model
 * @param {{ pp: number, tg: number, rounds: number, threads: number }} result.options
 * @param {{ cpu: string, cores: number, node: string }} result.machine
 * @param {string} result.date
 * @param {number[]} result.load Before and after.
 * @param {ReturnType<typeof comparePeers>} result.rows
 * @param {string[]} result.leftOut
 * @returns {string}
 */
export function printPeers({ model, options, machine, date, load, rows, leftOut }) {
  const { pp, tg, rounds, threads } = options;
  const cells = [
    [
      'engine',
      'weights',
      `prefill ${pp}, tok/s`,
      '× vitrine',
      `decode ${tg}, tok/s`,
      '× vitrine',
      'same tokens',
      'start, s',
    ],
    ...rows.map((row) => [
      row.name,
      row.weights,
      spread(row.prefill, 1),
      spread(row.prefill.ratio, 2),
      spread(row.decode, 1),
      spread(row.decode.ratio, 2),
      `${row.agrees} of ${tg + 1}`,
      row.ready.toFixed(1),
    ]),
  ];
  const versions = [...new Set(rows.map(({ version }) => version))];
  return [
    `${model}`,
    `${machine.cpu}, ${machine.cores} cores, ${threads} threads each; Node ${machine.node}; ${date}; load ${load.map((x) => x.toFixed(1)).join(' to ')}`,
    `Medians of ${rounds} rounds, with 95% intervals; ratios are of the same round.`,
    '',
    ...cells
      .map((row) => `| ${row.join(' | ')} |`)
      .toSpliced(1, 0, `| ${cells[0].map((_, i) => (i < 2 ? '---' : '---:')).join(' | ')} |`),
    '',
    ...versions.map((version) => `- ${version}`),
    ...leftOut.map((line) => `- left out: ${line}`),
    '',
  ].join('\n');
}

/**
 * @param {{ median: number, low: number, high: number }} estimate
 * @param {number} digits
 */
const spread = ({ median: middle, low, high }, digits) =>
  `${middle.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
