import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CtrlC } from '../../src/cli/ctrl-c.ts';
import { buildFirst, dist } from './built.ts';

buildFirst();

/** Runs a program in a process; `printed` waits until it has printed a text, and `output` is what it has printed so far. */
function run(program: string): { child: ChildProcess; printed: (line: string) => Promise<void>; output: () => string } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  const printed = async (line: string): Promise<void> => {
    while (!output.includes(line)) await wait(20);
  };
  return { child, printed, output: () => output };
}

/** A program that runs `onWaiting` when its thread begins to wait for Ctrl-C. */
const listening = (onWaiting: string): string => `
  import { CtrlC, detectInThread } from ${JSON.stringify(dist('cli/ctrl-c.js'))};
  const ctrlC = new CtrlC((press) => detectInThread(press, () => { ${onWaiting} }));
  const say = (text) => () => console.log(text);
  setTimeout(() => undefined, 20_000);`;
const READY = `console.log('ready');`;

describe('Ctrl-C', () => {
  it('calls the listener that was added last', () => {
    const ctrlC = new CtrlC();
    const heard: string[] = [];
    const [first, second] = ['first', 'second'].map((name) => ctrlC.listen(() => heard.push(name)));
    ctrlC.press();
    second();
    ctrlC.press();
    first();
    ctrlC.press();
    expect(heard).toEqual(['second', 'first']);
  });

  it('calls a listener once, and ends the process the second time', async () => {
    const { child, printed, output } = run(`${listening(READY)} ctrlC.listen(say('heard'));`);
    await printed('ready');
    child.kill('SIGINT');
    await printed('heard');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(output()).toBe('ready\nheard\n');
  });

  it('ends the process the second time while the event loop is blocked', async () => {
    const { child, printed, output } = run(`${listening(`${READY} for (;;);`)} ctrlC.listen(say('heard'));`);
    await printed('ready');
    child.kill('SIGINT');
    await wait(100);
    expect(child.exitCode ?? child.signalCode).toBeNull();
    const exit = once(child, 'exit');
    // The system may merge a signal with the first one, if the thread has not handled that yet.
    const pressing = setInterval(() => child.kill('SIGINT'), 100);
    expect(await exit).toEqual([null, 'SIGINT']);
    clearInterval(pressing);
    expect(output()).toBe('ready\n');
  });

  it('calls the previous listener again, when the last one is removed', async () => {
    const { child, printed, output } = run(`${listening(READY)}
      ctrlC.listen(say('outer'));
      const release = ctrlC.listen(() => { console.log('inner'); console.log('done'); release(); });`);
    await printed('ready');
    child.kill('SIGINT');
    await printed('done\nready');
    child.kill('SIGINT');
    await printed('outer');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(output()).toBe('ready\ninner\ndone\nready\nouter\n');
  });

  it('interrupts work under a deadline, as rendering a template is, and then calls the listener', async () => {
    const { child, printed, output } =
      run(`import { withDeadline } from ${JSON.stringify(dist('platform/deadline.js'))};
      ${listening('setTimeout(render);')}
      ctrlC.listen(say('heard'));
      function render() {
        ${READY}
        try { withDeadline(600_000, 'chat template', () => { for (;;); }); } catch (error) { console.log(error.message); }
      }`);
    await printed('ready');
    child.kill('SIGINT');
    await printed('heard');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(output()).toBe('ready\nchat template: interrupted\nheard\n');
  });

  it('does not keep the process alive', async () => {
    const { child } = run(
      `import { CtrlC, detectInThread } from ${JSON.stringify(dist('cli/ctrl-c.js'))};
       new CtrlC((press) => detectInThread(press)).listen(() => undefined); setTimeout(() => undefined, 100);`,
    );
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
