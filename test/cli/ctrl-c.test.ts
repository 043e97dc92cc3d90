import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CtrlC } from '../../src/cli/ctrl-c.ts';
import { bringUpToDate, dist } from './built.ts';

bringUpToDate();

/** A program of its own, and what it printed so far. */
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

const LISTEN = `
  import { CtrlC, inThread } from ${JSON.stringify(dist('cli/ctrl-c.js'))};
  const ctrlC = new CtrlC(inThread);
  const say = (text) => () => console.log(text);
  setTimeout(() => undefined, 20_000);`;
/** The thread needs a moment to begin. */
const STARTED = 'setTimeout(() => console.log("ready"), 2000);';

describe('Ctrl-C', () => {
  it('is heard by the last who asked', () => {
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

  it('is heard once, and ends the process the second time', async () => {
    const { child, printed, output } = run(`${LISTEN} ctrlC.listen(say('heard')); ${STARTED}`);
    await printed('ready');
    child.kill('SIGINT');
    await printed('heard');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(output()).toBe('ready\nheard\n');
  });

  it('ends the process the second time while the event loop stands still', async () => {
    const { child, printed, output } = run(
      `${LISTEN} ctrlC.listen(say('heard')); setTimeout(() => { console.log('ready'); for (;;); }, 2000);`,
    );
    await printed('ready');
    child.kill('SIGINT');
    await wait(500);
    expect(child.exitCode ?? child.signalCode).toBeNull();
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(output()).toBe('ready\n');
  });

  it('is heard again by the one before, when the one who heard it is done', async () => {
    const { child, printed, output } = run(`${LISTEN}
      ctrlC.listen(say('outer'));
      const release = ctrlC.listen(() => { console.log('inner'); setTimeout(() => { release(); console.log('done'); }, 100); });
      ${STARTED}`);
    await printed('ready');
    for (const line of ['done', 'outer']) {
      child.kill('SIGINT');
      await printed(line);
      await wait(500);
    }
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(output()).toBe('ready\ninner\ndone\nouter\n');
  });

  it('ends a template that goes on without end, and is then heard', async () => {
    const forever = '{% for i in range(100000) %}'.repeat(3) + '{% endfor %}'.repeat(3);
    const { child, printed, output } = run(`${LISTEN}
      import { renderTemplate } from ${JSON.stringify(dist('index.js'))};
      ctrlC.listen(say('heard'));
      setTimeout(() => {
        console.log('ready');
        // Again and again: on a machine that does much else, a template may reach its limit before the signal comes.
        for (let rest = 20, told = ''; rest > 0 && !told.includes('interrupted'); rest--)
          try { renderTemplate(${JSON.stringify(forever)}, []); } catch (error) { told = error.message; if (told.includes('interrupted')) console.log(told); }
      }, 2000);`);
    await printed('ready');
    child.kill('SIGINT');
    await printed('heard');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(output()).toBe('ready\nchat template: interrupted\nheard\n');
  });

  it('does not keep the process alive, nor outlive it', async () => {
    const { child } = run(
      `import { CtrlC, inThread } from ${JSON.stringify(dist('cli/ctrl-c.js'))};
       new CtrlC(inThread).listen(() => undefined); setTimeout(() => undefined, 500);`,
    );
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
