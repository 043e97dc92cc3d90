// `npm start [-- PROMPT and options]`: sets up what is missing, then `vitrine generate`.
import { join } from 'node:path';
import { fail, prepare, root } from './bootstrap.mjs';

const args = process.argv.slice(2);
const needsDefaultModel = !args.some((arg) => /^(--model|-m|--help|-h)(=|$)/.test(arg));

try {
  const { model } = await prepare({ model: needsDefaultModel });
  if (needsDefaultModel && model === undefined) {
    process.exitCode = 1;
  } else {
    const { main } = await import(join(root, 'dist', 'cli', 'main.js'));
    process.exitCode = await main(['generate', ...args]);
  }
} catch (error) {
  fail(error);
}
