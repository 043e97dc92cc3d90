import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import * as vitrine from '../../src/index.ts';
import { convertedModelFolder } from '../../src/loader/default-model.ts';

const PAGE = new URL('../../docs/inspecting.md', import.meta.url);
const SAE = fileURLToPath(new URL('../fixtures/interp/sae/smollm2/standard', import.meta.url));
const AsyncFunction = (async () => {
  await Promise.resolve();
}).constructor as new (
  ...args: string[]
) => (library: typeof vitrine, console: { log: (...values: unknown[]) => void }) => Promise<void>;

it('runs every program of the page on looking into a model', async () => {
  const page = readFileSync(PAGE, 'utf8');
  const programs = [...page.matchAll(/```js\n(.*?)```/gs)].map(([, program]) => program);
  const code = programs
    .join('\n')
    .replace(/import \{(.*?)\} from 'vitrine';/g, 'const {$1} = library;')
    .replace("'HuggingFaceTB/SmolLM2-135M-Instruct'", JSON.stringify(convertedModelFolder()))
    .replace("'path/to/sae'", JSON.stringify(SAE));
  const lines: unknown[][] = [];
  const before = vitrine.liveTensors();
  await new AsyncFunction('library', 'console', code)(vitrine, { log: (...values) => lines.push(values) });
  expect(programs.length).toBe(8);
  expect(lines[0][0]).toEqual([30, 14, 576]);
  expect(lines[1][0]).toBe('h p t');
  expect(lines.flat()).not.toContain(undefined);
  expect(vitrine.liveTensors()).toBe(before);
});
