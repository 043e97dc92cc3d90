// Which folder may import which (docs/architecture.md draws it), that no files import each other in a circle, and where Node may be used.

/** The files at the top of `src` that every folder may use. */
const LEAVES = 'errors|options|quote|nearest|json|format-bytes';

/** Each folder, from below, with the folders that its files may import besides their own and the leaves. */
const MAY_IMPORT = {
  platform: [],
  tensor: ['platform'],
  hooks: ['tensor'],
  sampling: [],
  tokenizer: ['platform'],
  model: ['tensor'],
  loader: ['platform', 'tensor', 'tokenizer'],
  engine: ['platform', 'tensor', 'hooks', 'sampling', 'tokenizer', 'model', 'loader'],
  inspect: ['platform', 'tensor', 'hooks', 'sampling', 'tokenizer', 'model', 'loader', 'engine'],
  setup: ['platform', 'tensor', 'loader'],
  bench: ['platform', 'tensor', 'hooks', 'sampling', 'tokenizer', 'model', 'loader', 'engine', 'inspect'],
  cli: [
    'platform',
    'tensor',
    'hooks',
    'sampling',
    'tokenizer',
    'model',
    'loader',
    'engine',
    'inspect',
    'setup',
    'bench',
  ],
};

/** The same within `src/model`. */
const MAY_IMPORT_IN_MODEL = {
  config: [],
  weights: ['config'],
  cache: ['config'],
  parts: ['config', 'weights', 'cache'],
  families: ['config', 'weights', 'cache', 'parts'],
};

/** Folders that run wherever JavaScript does: no module of Node. (Backends choose their own.) */
const PORTABLE = 'model|hooks|sampling|tokenizer|tensor(?!/(cpu|tensorflow)/)';

const arrows = (root, mayImport) =>
  Object.entries(mayImport).map(([folder, others]) => ({
    name: `${root}${folder}`,
    severity: 'error',
    comment: `src/${root}${folder} may import ${others.length > 0 ? others.join(', ') : 'no other folder'}`,
    from: { path: `^src/${root}${folder}/` },
    to: { path: `^src/${root}[^/]+/`, pathNot: `^src/${root}(${[folder, ...others].join('|')})/` },
  }));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...arrows('', MAY_IMPORT),
    ...arrows('model/', MAY_IMPORT_IN_MODEL),
    {
      name: 'leaves',
      severity: 'error',
      from: { path: `^src/(${LEAVES})\\.ts$` },
      to: { path: '^src/', pathNot: `^src/(${LEAVES})\\.ts$` },
    },
    {
      name: 'public-surface',
      severity: 'error',
      comment: 'src/index.ts is for users of the package',
      from: { path: '^src/' },
      to: { path: '^src/index\\.ts$' },
    },
    { name: 'no-circles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { path: '^src/', orphan: true }, to: {} },
    {
      name: 'portable',
      severity: 'error',
      from: { path: `^src/(${PORTABLE}|(${LEAVES})\\.ts$)` },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/tensor/cpu/assembly/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
