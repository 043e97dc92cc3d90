import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { VitrineError } from '../../errors.ts';
import type { Answer, Answers, Request } from './messages.ts';

/** A process that has not answered for so long is killed: it may run a kernel that never ends. */
const PATIENCE_MS = 10 * 60_000;

/** A process that measures on request. */
export interface MeasuringProcess {
  /** @throws {VitrineError} when the process reports an error that the user can act on, or ends. */
  ask<K extends Request['kind']>(request: Extract<Request, { kind: K }>): Promise<Answers[K]>;
  /** Kills the process. */
  end(): void;
}

/** Starts a measuring process, which ends with this one at the latest. Its V8 has native functions: see `tierOf`. */
export function startProcess(signal?: AbortSignal): MeasuringProcess {
  signal?.throwIfAborted();
  const child = fork(fileURLToPath(new URL('../../../dist/bench/processes/measuring-child.js', import.meta.url)), {
    execArgv: ['--allow-natives-syntax'],
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

/** Runs `body` with a new measuring process, which it ends afterwards. */
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
