// Compare kernels: one op on two backends, the plain loops of `reference` and TensorFlow's kernels, in results and speed. Run in a
// clone, after `npm start` or `npm run build`:
//   node examples/kernel.mjs [rows]
import { createBackend, keep, scope, Tensor } from 'vitrine';
import { linear } from '../dist/tensor/ops/linear.js';
import { Parameter } from '../dist/tensor/parameter.js';

const ROWS = Number(process.argv[2] ?? 8);
const [IN, OUT] = [576, 1536];
/** @param {number} count @param {number} seed */
const values = (count, seed) => Float32Array.from({ length: count }, (_, i) => Math.sin(seed + i * 0.7));
const x = values(ROWS * IN, 1);
const w = values(OUT * IN, 2);

/**
 * Computes y = x w^T on a backend. Returns y and the best time of ten runs, in ms.
 *
 * @param {import('vitrine').BackendName} name
 * @param {'f32' | 'bf16'} compute
 */
function run(name, compute) {
  const backend = createBackend(name);
  const weight = new Parameter('weight', [OUT, IN], compute);
  weight.fill(scope('', () => keep(Tensor.from(backend, w, [OUT, IN]).cast(compute))));
  const layer = { weight, bias: undefined, sizes: [OUT], compute };
  /** @type {Float32Array} */
  let y = new Float32Array();
  let best = Infinity;
  for (let repetition = 0; repetition < 10; repetition++) {
    const start = performance.now();
    scope('', () => {
      y = linear(Tensor.from(backend, x, [ROWS, IN]), layer).data();
    });
    best = Math.min(best, performance.now() - start);
  }
  weight.dispose();
  return { y, best };
}

console.log(`linear [${ROWS}, ${IN}] x [${OUT}, ${IN}]^T`);
const expected = run('reference', 'f32').y;
const scale = Math.max(...expected.map(Math.abs));
for (const [name, compute] of /** @type {const} */ ([
  ['reference', 'f32'],
  ['tensorflow', 'f32'],
  ['tensorflow', 'bf16'],
])) {
  const { y, best } = run(name, compute);
  const error = y.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i])), 0) / scale;
  const gflops = (2 * ROWS * IN * OUT) / (best * 1e6);
  console.log(
    `${name.padEnd(10)} ${compute.padEnd(4)} ${best.toFixed(3).padStart(8)} ms ` +
      `${gflops.toFixed(1).padStart(6)} GFLOP/s   largest error ${error.toExponential(1)} of the largest value`,
  );
}
