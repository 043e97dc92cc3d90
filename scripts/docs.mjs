// `npm run docs`: builds the site in site/ from README.md, docs/, examples/ and the doc comments of the public entries. Fails where a
// link leads nowhere, a type of the public surface is not exported, or a page would load something from another host.
// `--links` only follows the links of the guides, without building.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { ensurePackages, reportFailure, root, StepFailed } from './bootstrap.mjs';

const SITE = join(root, 'site');
const PAGES = join(SITE, '.pages');
const at = (path) => relative(root, path);
const isFile = (path) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/** Named in signatures of the public surface, but made or read by the engine only. */
const INTERNAL_TYPES = [
  ...['BACKENDS', 'SlotPlan', 'LayerStore', 'CacheUse', 'LoadedNetwork', 'ChatTurns', 'InputFile'],
  // Steps of the types by which the compiler checks the names of hooks.
  ...[
    'GlobalTable',
    'BlockTable',
    'BlockAxes',
    'Numbered',
    'IsText',
    'CheckedPattern',
    'Pattern',
    'WithStar',
    'CheckedEdit',
    'TokenCaptures',
  ],
];

/** The pages by the path of the file that each shows: title, group in the site, and Markdown. */
const pages = new Map();
const pageOf = (file) => join(PAGES, `${at(file).replaceAll(/[/.]/g, '_').replace(/_md$/, '')}.md`);
const problems = [];

function addMarkdown(file, group) {
  const text = readFileSync(file, 'utf8');
  const title = /^# (.*)$/m.exec(text)?.[1] ?? at(file);
  pages.set(file, { title, group, text: text.replace(/^# .*\n+/, '') });
}

function addCode(file, group) {
  const language =
    { '.mjs': 'javascript', '.ts': 'typescript', '.cc': 'cpp', '.py': 'python' }[extname(file)] ?? 'text';
  pages.set(file, { title: at(file), group, text: `\`\`\`\`${language}\n${readFileSync(file, 'utf8')}\`\`\`\`\n` });
}

/** A page's text with its links pointing to pages of the site. A file without a page gets one; a folder is only named. */
function withLinks(file, text) {
  return text.replaceAll(/\[([^\]]*)\]\(([^)\s]+)\)/g, (link, words, target) => {
    if (/^(https?:|#)/.test(target)) return link;
    const [path, anchor] = target.split('#');
    const linked = resolve(dirname(file), path);
    if (!existsSync(linked)) problems.push(`${at(file)}: a link leads to ${target}, which does not exist`);
    if (!isFile(linked)) return words;
    if (!pages.has(linked)) addCode(linked, 'Source files');
    return `[${words}](${relative(PAGES, pageOf(linked))}${anchor === undefined ? '' : `#${anchor}`})`;
  });
}

/** Fills `pages`, and `problems` with the links that lead nowhere. */
function collectPages() {
  const inFolder = (folder, extension) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(extension))
      .map((name) => join(root, folder, name));
  addMarkdown(join(root, 'README.md'), '');
  for (const file of [...inFolder('docs', '.md'), join(root, 'bench', 'peers', 'README.md')])
    addMarkdown(file, 'Guides');
  for (const file of inFolder('examples', '.mjs')) addCode(file, 'Examples');
  // Pages of source files are added on the way; their text has no links.
  for (const [file, page] of pages) if (page.group !== 'Source files') page.text = withLinks(file, page.text);
}

function writePages() {
  rmSync(SITE, { recursive: true, force: true });
  mkdirSync(PAGES, { recursive: true });
  for (const [file, { title, group, text }] of pages) {
    const head = group === '' ? '' : `---\ntitle: ${JSON.stringify(title)}\ngroup: ${group}\n---\n\n`;
    writeFileSync(pageOf(file), head + text);
  }
}

async function build() {
  const { Application } = await import('typedoc');
  const app = await Application.bootstrap({
    name: 'Vitrine',
    entryPoints: [join(root, 'src', 'index.ts'), join(root, 'src', 'bench', 'index.ts')],
    tsconfig: join(root, 'tsconfig.build.json'),
    readme: pageOf(join(root, 'README.md')),
    projectDocuments: [...pages.keys()].slice(1).map(pageOf),
    groupOrder: ['Guides', 'Examples', 'Modules', 'Source files', '*'],
    navigation: { includeGroups: true },
    // The lint stage checks types; links to the code would need a host.
    skipErrorChecking: true,
    disableSources: true,
    githubPages: false,
    validation: { notExported: true, invalidLink: true, invalidPath: true },
    intentionallyNotExported: INTERNAL_TYPES,
    treatWarningsAsErrors: true,
    treatValidationWarningsAsErrors: true,
    excludeInternal: true,
    excludePrivate: true,
    out: SITE,
    cleanOutputDir: false,
  });
  const project = await app.convert();
  if (project === undefined) throw new StepFailed('TypeDoc could not read the sources.');
  app.validate(project);
  await app.generateOutputs(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new StepFailed('TypeDoc found what is said above.');
}

/** Follows every link of every page: its file and anchor exist, and nothing is loaded from another host. */
function checkSite() {
  const html = readdirSync(SITE, { recursive: true })
    .filter((name) => name.endsWith('.html'))
    .map((name) => join(SITE, name));
  const contents = new Map(html.map((file) => [file, readFileSync(file, 'utf8')]));
  for (const [file, content] of contents) {
    for (const [, tag, url] of content.matchAll(/<(\w+)\b[^>]*?\s(?:href|src)="([^"]*)"/g)) {
      if (/^(https?:)?\/\//.test(url)) {
        if (tag !== 'a') problems.push(`${at(file)}: <${tag}> loads ${url}`);
        continue;
      }
      const [path, anchor] = url.replaceAll('&amp;', '&').split('#').map(decodeURIComponent);
      const target = path === '' ? file : resolve(dirname(file), path);
      if (!isFile(target)) problems.push(`${at(file)}: a link leads to ${url}, which does not exist`);
      else if (anchor && contents.get(target)?.includes(` id="${anchor}"`) === false)
        problems.push(`${at(file)}: ${url} has no such heading`);
    }
  }
  return html.length;
}

try {
  const onlyLinks = process.argv.includes('--links');
  collectPages();
  if (!onlyLinks && problems.length === 0) {
    ensurePackages();
    writePages();
    await build();
    rmSync(PAGES, { recursive: true, force: true });
    console.log(`${checkSite()} pages: ${join(SITE, 'index.html')}`);
  }
  if (problems.length > 0) throw new StepFailed([...new Set(problems)].join('\n'));
} catch (error) {
  reportFailure(error);
}
