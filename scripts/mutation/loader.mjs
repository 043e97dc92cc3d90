// Hooks of `module.register`: TypeScript as JavaScript, source with mutants in place of the source, and `vitest.mjs` for
// `vitest`. A file that is asked for with `?fresh=N` hands the mark on to what it imports of the project, so that all of
// that is evaluated anew.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const sources = new Map();
let root;
let out;

export function initialize(folders) {
  ({ root, out } = folders);
}

export async function resolve(specifier, context, next) {
  if (specifier === 'vitest') return { url: new URL('vitest.mjs', import.meta.url).href, shortCircuit: true };
  const found = await next(specifier, context);
  const mark = /\?fresh=\d+/.exec(context.parentURL ?? '')?.[0];
  const isOwn = found.url.startsWith(pathToFileURL(root).href) && !found.url.includes('/node_modules/');
  return mark && isOwn ? { ...found, url: found.url + mark } : found;
}

export function load(url, context, next) {
  const [file] = url.split('?', 1);
  if (!file.endsWith('.ts') || file.includes('/node_modules/')) return next(url, context);
  if (!sources.has(file)) sources.set(file, javascriptOf(fileURLToPath(file)));
  return { format: 'module', source: sources.get(file), shortCircuit: true };
}

function javascriptOf(path) {
  const name = relative(root, path);
  // Processes share what one of them has compiled: the compiler takes longer than most mutants.
  const compiled = join(out, 'compiled', name);
  if (existsSync(compiled)) return readFileSync(compiled, 'utf8');
  const instead = join(out, name);
  const javascript = compile(readFileSync(existsSync(instead) ? instead : path, 'utf8'), path);
  mkdirSync(dirname(compiled), { recursive: true });
  writeFileSync(`${compiled}.${process.pid}`, javascript);
  renameSync(`${compiled}.${process.pid}`, compiled);
  return javascript;
}

let typescript;

function compile(text, fileName) {
  typescript ??= createRequire(import.meta.url)('typescript');
  const { ModuleKind, ScriptTarget, transpileModule } = typescript;
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022, verbatimModuleSyntax: true };
  return transpileModule(text, { fileName, compilerOptions }).outputText;
}
