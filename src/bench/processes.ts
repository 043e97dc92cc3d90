import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { VitrineError } from '../errors.ts';
import type { Answer, Answers, Request } from './child.ts';

/** After so long without an answer, a process hangs: a kernel that never ends, say. */
const PATIENCE_MS = 10 * 60_000;

export interface MeasuringProcess {
  ask<K extends Request['kind']>(request: Extract<Request, { kind: K }>): Promise<Answers[K]>;
  end(): void;
}

/** Starts a fresh process that measures, and ends with us. */
export function startProcess(signal?: AbortSignal): MeasuringProcess {
  signal?.throwIfAborted();
  const child = fork(fileURLToPath(new URL('../../dist/bench/child.js', import.meta.url)), {
    execArgv: ['--allow-natives-syntax'], // For `tier.ts`.
    serialization: 'advanced',
    stdio: ['ignore', 2, 2, 'ipc'],
  });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  signal?.addEventListener('abort', kill, { once: true });
  return {
    ask: <K extends Request['kind']>(request: Extract<Request, { kind: K }>) =>
      new Promise<Answers[K]>((resolve, reject) => {
        const patience = setTimeout(kill, PATIENCE_MS);
        const settle = (finish: () => void): void => {
          clearTimeout(patience);
          child.removeAllListeners();
          finish();
        };
        child.once('message', (answer: Answer) => {
          settle(() => {
            if ('value' in answer) resolve(answer.value as Answers[K]);
            else reject(answer.explained ? new VitrineError(answer.error) : new Error(answer.error));
          });
        });
        child.once('error', (error) => {
          settle(() => {
            reject(error);
          });
        });
        child.once('exit', (code, killedBy) => {
          settle(() => {
            const how = killedBy === null ? `exit code ${code ?? 0}` : `signal ${killedBy}`;
            const ended = `bench: the process that measured ${subjectOf(request)} ended with ${how}.`;
            reject(signal?.aborted ? (signal.reason as Error) : new VitrineError(ended));
          });
        });
        child.send(request);
      }),
    end: () => {
      signal?.removeEventListener('abort', kill);
      child.removeAllListeners();
      kill();
    },
  };
}

function subjectOf(request: Request): string {
  if (request.kind !== 'case') return request.kind;
  const { suite, site, variants } = request.spec;
  return `${suite} at ${site} (${variants.map(({ name }) => name).join(', ')})`;
}

/** Does something with a process that ends afterwards, whatever happens. */
export async function inProcess<T>(
  signal: AbortSignal | undefined,
  body: (child: MeasuringProcess) => Promise<T>,
): Promise<T> {
  const child = startProcess(signal);
  try {
    return await body(child);
  } finally {
    child.end();
  }
}
