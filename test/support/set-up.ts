// Set-up files are evaluated for each test file, what they import once in each process.
import './equality.ts';
