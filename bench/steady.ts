// `npm run bench:steady`: whether a long generation holds on to anything. Counts of tensors must not change, and
// memory must grow by the cache alone.
import { liveTensors, load } from 'vitrine';
import { benchOptions } from './options.ts';
import { slope } from './statistics.ts';

const TOKENS = 2000;
const WARM = 400;

const { model: source, backend, weights, threads } = benchOptions(process.argv.slice(2));
const model = await load(source, { backend, weights, threads });
const cache = model.newCache();
const memory: [token: number, bytes: number][] = [];
let token = 0;
for await (const { finishReason } of model.generate('Once upon a time', {
  cache,
  maxTokens: TOKENS,
  temperature: 0,
  ignoreEos: true,
})) {
  token++;
  if (token >= WARM) memory.push([token, process.memoryUsage.rss() - cache.bytes]);
  if (token === 100 || token === TOKENS)
    console.log(
      `token ${token}: ${liveTensors()} tensors, ${model.backend.liveHandles()} handles of the backend, ` +
        `${mb(process.memoryUsage.rss())} MB resident, ${mb(cache.bytes)} MB of it cache`,
    );
  if (finishReason !== undefined) break;
}
console.log(
  `resident memory without the cache, tokens ${WARM} to ${token}: ${mb(slope(memory) * 1000)} MB per 1,000 tokens`,
);
cache.dispose();
model.dispose();

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(2);
}
