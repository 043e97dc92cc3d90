// `npm run bench:steady` shows whether a long generation leaks. The numbers of tensors and handles must stay the same. Memory may
// grow in the first generation, as the cache does; in the second it should not.
import { liveTensors, load } from 'vitrine';
import { slope } from 'vitrine/bench';
import { steadyOptions } from './steady-options.ts';

const TOKENS = 2000;

const { model: source, backend, weights, threads } = steadyOptions(process.argv.slice(2));
const model = await load(source, { backend, weights, threads });
for (const round of ['warm-up', 'measured']) {
  const memory: [token: number, bytes: number][] = [];
  const cache = model.newCache();
  const tokens = model.generate('Once upon a time', { cache, maxTokens: TOKENS, temperature: 0, ignoreEos: true });
  while (!(await tokens.next()).done) {
    memory.push([memory.length + 1, process.memoryUsage.rss()]);
    if (memory.length === 100 || memory.length === TOKENS)
      console.log(
        `${round}, token ${memory.length}: ${liveTensors()} tensors, ${model.backend.liveHandles()} handles of the backend, ` +
          `${mb(process.memoryUsage.rss())} MB resident, ${mb(cache.bytes)} MB of cache`,
      );
  }
  console.log(`${round}: ${mb(slope(memory) * 1000)} MB per 1,000 tokens`);
  cache.dispose();
}
model.dispose();

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
