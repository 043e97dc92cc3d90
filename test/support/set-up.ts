// Set-up files are evaluated for each test file, what they import once in each process.
import { afterAll } from 'vitest';
import { liveTensors } from '../../src/tensor/owned-handle.ts';
import './equality.ts';
import { collectGarbage } from './garbage.ts';

// What a file has forgotten would otherwise be freed while the next one of the process counts its tensors.
afterAll(() => collectGarbage(() => liveTensors() === 0));
