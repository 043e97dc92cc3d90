import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new folder that is removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vitrine-test-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** An environment whose PATH has only these shell scripts. */
export function environment(commands: Record<string, string>): NodeJS.ProcessEnv {
  const folder = temporaryFolder();
  for (const [name, script] of Object.entries(commands)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return { PATH: folder, CXX: '' };
}

/** A command that can be started, and fails at everything else. */
export const failing = (message: string): string =>
  `[ "$1" = --version ] && exit 0\necho 'some progress' >&2\necho '${message}' >&2\nexit 1`;

/** A command that does not end. */
export const hanging = '[ "$1" = --version ] && exit 0\nexec /bin/sleep 600';

/** The script of a pip that downloads a wheel of this name with one file, called `name` in it, and the wheel that it copies. */
export function pipWith(file: string, name: string, wheel = 'package.whl'): { script: string; wheel: string } {
  const folder = temporaryFolder();
  mkdirSync(join(folder, name, '..'), { recursive: true });
  cpSync(file, join(folder, name));
  execFileSync('python3', ['-m', 'zipfile', '-c', 'package.whl', name.split('/')[0]], { cwd: folder });
  const script = [
    '[ "$1" = --version ] && exit 0',
    'while [ "$1" != --dest ]; do shift; done',
    `/bin/cp '${join(folder, 'package.whl')}' "$2/${wheel}"`,
  ].join('\n');
  return { script, wheel: join(folder, 'package.whl') };
}

/** Environment variables that allow these files to be unpacked. */
export const trusting = (...files: (string | Buffer)[]): NodeJS.ProcessEnv => ({
  VITRINE_TRUSTED_SHA256: files.map((file) => sha256(typeof file === 'string' ? readFileSync(file) : file)).join(','),
});

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Serves files by their paths on this machine, and answers 404 for all other paths. Returns the address. */
export async function serve(files: Record<string, Buffer>): Promise<string> {
  const server = createServer(({ url = '' }, response) => {
    if (url in files) response.end(files[url]);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const tarballs = new Map<string, Buffer>();

/** A .tar.gz of files with these names: `*.node` is a Node addon that does nothing, the others are empty. */
export function tarball(...names: string[]): Buffer {
  const key = names.join();
  const made = tarballs.get(key) ?? makeTarball(names);
  tarballs.set(key, made);
  return made;
}

function makeTarball(names: readonly string[]): Buffer {
  const folder = temporaryFolder();
  for (const name of names) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    if (name.endsWith('.node')) {
      const source = 'extern "C" void *napi_register_module_v1(void *, void *exports) { return exports; }';
      execFileSync('c++', ['-shared', '-fPIC', '-x', 'c++', '-', '-o', join(folder, name)], { input: source });
    } else writeFileSync(join(folder, name), '');
  }
  return execFileSync('tar', ['-cz', '-C', folder, ...names]);
}
