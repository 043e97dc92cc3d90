#!/usr/bin/env node
import { CtrlC, detectInThread } from './ctrl-c.ts';
import { main } from './main.ts';

process.exitCode = await main(process.argv.slice(2), new CtrlC((press) => detectInThread(press)));
