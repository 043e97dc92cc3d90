// How a mixture of experts routes tokens: load, balance and margins of each layer. Run after `npm start` or `npm run build`:
//   node examples/routing.mjs [model]
// The default model has no experts, so that without an argument this is a small one of the tests, with random weights.
import { load, routerStatistics } from 'vitrine';
import { fileURLToPath } from 'node:url';

const small = fileURLToPath(new URL('../test/fixtures/models/qwen3_moe', import.meta.url));
const model = await load(process.argv[2] ?? small);
const prompts = process.argv[2]
  ? ['The cat chased the mouse.', 'for (let i = 0; i < n; i++) sum += i;', '2 + 2 = 4']
  : [Array.from({ length: 48 }, (_, i) => (i * 37 + 5) % 500)];

for (const { layer, load: shares, balance, unused, margin, tokens } of routerStatistics(model, prompts)) {
  console.log(`layer ${layer}: balance ${balance.toFixed(3)}, unused experts ${unused.length}`);
  console.log(`  load   ${[...shares].map((share) => `${(100 * share).toFixed(1)}%`.padStart(6)).join(' ')}`);
  console.log(`  margin min ${margin.min.toExponential(1)}, median ${margin.median.toExponential(1)}`);
  const closest = tokens.reduce((least, token) => (token.margin < least.margin ? token : least));
  console.log(
    `  closest choice: token ${closest.token} at position ${closest.position} of prompt ${closest.prompt}, experts ${[...closest.experts].join(', ')}`,
  );
}
model.dispose();
