import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'undici';
import { BACKEND_NAMES } from '../../src/tensor/backends.ts';
import { modelFolder } from '../support/fixtures.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const ATTENTION = join(ROOT, 'dist/model/parts/grouped-query-attention.js');

/**
 * How VS Code's debugger describes the variables of a scope: microsoft/vscode-js-debug, src/adapter/templates/getStringyProps.ts,
 * which it calls with `throwOnSideEffect`, so that one variable that V8 refuses to describe takes the others with it.
 */
const DESCRIBE_VARIABLES = `function (symbols) {
  const out = {};
  for (const key of Object.keys(this)) {
    const value = this[key];
    if (typeof value !== 'object' || !value) continue;
    let text;
    for (const symbol of symbols) {
      if (typeof value[symbol] !== 'function') continue;
      try { text = value[symbol](2); break; } catch {}
    }
    if (!text && !String(value.toString).includes('[native code]')) text = String(value);
    if (text && !text.startsWith('[object ')) out[key] = text;
  }
  return out;
}`;

interface RemoteObject {
  readonly objectId: string;
  readonly value?: unknown;
  readonly customPreview?: { readonly header: string };
}
interface Paused {
  readonly callFrames: readonly {
    readonly callFrameId: string;
    readonly functionName: string;
    readonly scopeChain: readonly { readonly type: string; readonly object: RemoteObject }[];
  }[];
}
interface Answer {
  readonly result: RemoteObject & readonly { name: string; value: RemoteObject }[];
  readonly exceptionDetails?: unknown;
}

/** A program under the inspector, and the DevTools protocol with it. */
class Debugged {
  readonly #child: ChildProcess;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #pauses: Paused[] = [];
  #onPause: ((paused: Paused | undefined) => void) | undefined;
  #ids = 0;

  constructor(child: ChildProcess, socket: WebSocket) {
    this.#child = child;
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data)) as { id?: number; method?: string; result: Answer; params: Paused };
      if (message.id !== undefined) this.#waiting.get(message.id)?.(message.result);
      if (message.method === 'Debugger.paused') {
        if (this.#onPause === undefined) this.#pauses.push(message.params);
        else this.#onPause(message.params);
        this.#onPause = undefined;
      }
      if (message.method === 'Runtime.executionContextDestroyed') this.#onPause?.(undefined);
    });
  }

  static async start(program: string, ...given: string[]): Promise<Debugged> {
    const child = spawn(process.execPath, ['--inspect-brk=127.0.0.1:0', program, ...given], { cwd: ROOT });
    const url = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        const found = /ws:\/\/\S+/.exec(text);
        if (found) resolve(found[0]);
      });
      child.on('exit', () => {
        reject(new Error(text));
      });
    });
    const socket = new WebSocket(url);
    await new Promise((resolve) => {
      socket.addEventListener('open', resolve);
    });
    return new Debugged(child, socket);
  }

  send(method: string, params: object = {}): Promise<Answer> {
    const id = ++this.#ids;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** Goes on to the next pause; undefined when the program has ended. */
  async resume(command = 'Debugger.resume'): Promise<Paused | undefined> {
    const next = this.#pauses.shift();
    const paused = next
      ? Promise.resolve(next)
      : new Promise<Paused | undefined>((resolve) => (this.#onPause = resolve));
    await this.send(command);
    return paused;
  }

  end(): void {
    this.#socket.close();
    this.#child.kill();
  }
}

describe.each(BACKEND_NAMES)('a debugger, on %s,', (backend) => {
  let program: Debugged;
  let pauses: Paused[];
  let last: Paused;
  beforeAll(async () => {
    program = await Debugged.start(
      join(ROOT, 'test/engine/debugged-program.mjs'),
      modelFolder('llama_gqa_tied'),
      backend,
    );
    await program.send('Runtime.enable');
    await program.send('Debugger.enable');
    const line = readFileSync(ATTENTION, 'utf8')
      .split('\n')
      .findIndex((text) => text.includes('attention(rotQ'));
    await program.send('Debugger.setBreakpointByUrl', {
      url: `file://${ATTENTION}`,
      lineNumber: line,
      condition: 'step.index === 1',
    });
    await program.resume('Runtime.runIfWaitingForDebugger'); // On the first line of the program.
    pauses = [(await program.resume())!];
  });
  afterAll(() => {
    program.end();
  });

  const scopeOf = (paused: Paused, name: string): string =>
    paused.callFrames[0].scopeChain.find(({ type }) => type === name)!.object.objectId;
  const describeScope = async (objectId: string): Promise<unknown> => {
    const symbols = await program.send('Runtime.evaluate', {
      expression: `['debug.description', 'nodejs.util.inspect.custom'].map((name) => Symbol.for(name))`,
    });
    const { result, exceptionDetails } = await program.send('Runtime.callFunctionOn', {
      functionDeclaration: DESCRIBE_VARIABLES,
      objectId,
      arguments: [{ objectId: symbols.result.objectId }],
      throwOnSideEffect: true,
      returnByValue: true,
    });
    expect(exceptionDetails).toBeUndefined();
    return result.value;
  };

  it('stops in the layer that a condition on the step names, and nowhere else', async () => {
    const { callFrameId } = pauses[0].callFrames[0];
    const { result } = await program.send('Debugger.evaluateOnCallFrame', { callFrameId, expression: 'step.index' });
    expect(result.value).toBe(1);
  });

  it("shows a layer's tensors as VS Code asks for them: dtype, shape, range", async () => {
    const line = (shape: string): unknown =>
      expect.stringMatching(new RegExp(`^Tensor f32 \\[${shape}\\] min -?[\\d.e-]+ max [\\d.e-]+ mean `));
    const variables = {
      ...((await describeScope(scopeOf(pauses[0], 'local'))) as object),
      ...((await describeScope(scopeOf(pauses[0], 'closure'))) as object),
    };
    expect(variables).toMatchObject({
      q: line('16, 4, 16'),
      k: line('16, 2, 16'),
      rotQ: line('16, 4, 16'),
      x: line('16, 64'),
    });
  });

  it('shows tensors in Chrome DevTools by a custom formatter', async () => {
    await program.send('Runtime.setCustomObjectFormatterEnabled', { enabled: true });
    const { result } = await program.send('Runtime.getProperties', {
      objectId: scopeOf(pauses[0], 'closure'),
      ownProperties: true,
    });
    const x = result.find(({ name }) => name === 'x')!;
    expect(JSON.parse(x.value.customPreview!.header)).toEqual([
      'span',
      {},
      expect.stringMatching(/^Tensor f32 \[16, 64\] min /),
    ]);
    await program.send('Runtime.setCustomObjectFormatterEnabled', { enabled: false });
  });

  it('shows a run, a model and its config beside them', async () => {
    last = (await program.resume())!;
    expect(last.callFrames[0].functionName).not.toBe('forward'); // The `debugger` statement: the condition held once.
    const variables = (await describeScope(scopeOf(last, 'module'))) as Record<string, string>;
    expect(variables.run).toBe('Run hook_embed');
    expect(variables.model).toMatch(/^Model .*llama_gqa_tied/);
  });
});
