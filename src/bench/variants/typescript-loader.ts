// Module hooks for a Node that does not run TypeScript (before 22.18): the package `typescript` strips the types, the one of the
// file's own project or, without one, Vitrine's.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

interface Loaded {
  readonly format: string;
  readonly source?: string;
  readonly shortCircuit?: boolean;
}

interface Compiler {
  readonly transpileModule: (source: string, options: object) => { readonly outputText: string };
  readonly ModuleKind: { readonly ESNext: number };
  readonly ScriptTarget: { readonly ES2022: number };
}

/** The `load` hook of `module.register`. */
export async function load(
  url: string,
  context: object,
  next: (url: string, context: object) => Promise<Loaded>,
): Promise<Loaded> {
  if (!/^file:.*\.m?ts(#\w+)?$/.test(url)) return next(url, context);
  const { transpileModule, ModuleKind, ScriptTarget } = compilerFor(url);
  const compilerOptions = {
    module: ModuleKind.ESNext,
    target: ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
    inlineSourceMap: true,
  };
  const { outputText } = transpileModule(await readFile(fileURLToPath(url), 'utf8'), {
    compilerOptions,
    fileName: fileURLToPath(url),
  });
  return { format: 'module', source: outputText, shortCircuit: true };
}

function compilerFor(url: string): Compiler {
  for (const from of [url, import.meta.url]) {
    try {
      return createRequire(from)('typescript') as Compiler;
    } catch {
      // Not installed there.
    }
  }
  throw new Error(
    `Node ${process.version} does not run TypeScript. Install the package typescript beside ${fileURLToPath(url)}, write it as .mjs, or use Node 22.18 or newer.`,
  );
}
