import { Command } from 'commander';
import { GateFailed } from '../failure.ts';
import { number } from '../flags.ts';

interface CompareFlags {
  readonly minEffect: number;
  readonly force?: boolean;
  readonly failOnUnsure?: boolean;
  readonly json?: boolean;
}

/** `vitrine bench compare`: compares two reports. */
export function benchCompareCommand(): Command {
  return new Command('compare')
    .description('Compare two reports of `vitrine bench --json`; fail if the second is worse.')
    .argument('<before>', 'a JSON file')
    .argument('<after>', 'a JSON file')
    .option('--min-effect <percent>', 'the least difference that counts', number, 5)
    .option('--force', 'compare reports of different machines or settings')
    .option('--fail-on-unsure', 'exit with 3 if a verdict is UNSURE')
    .option('--json', 'print one JSON object instead of the table')
    .addHelpText(
      'after',
      '\nExit code: 0, 1 SLOWER, 2 WRONG or UNTRUSTED, 3 UNSURE (--fail-on-unsure), 4 machines differ.\n' +
        '\nExample:\n  $ vitrine bench compare main.json mine.json',
    )
    .action((before: string, after: string, flags: CompareFlags) => compareReports(before, after, flags));
}

async function compareReports(
  before: string,
  after: string,
  { minEffect, force = false, failOnUnsure, json = false }: CompareFlags,
): Promise<void> {
  const harness = await import('../../bench/index.ts');
  const [earlier, later] = await Promise.all([before, after].map(harness.readReport));
  const comparison = harness.compare(earlier, later, { minEffect: minEffect / 100 });
  if (comparison.unlike.length > 0 && !force)
    throw new GateFailed(
      `${before} and ${after} cannot be compared: ${comparison.unlike.join('; ')}. Measure both alike, or use --force.`,
      harness.EXIT.unlike,
    );
  process.stdout.write(json ? `${JSON.stringify(comparison, null, 1)}\n` : harness.comparisonTable(comparison));
  const verdicts = comparison.rows.map(({ verdict }) => verdict);
  GateFailed.unlessFine(harness.gate(verdicts, { failOnUnsure }), verdicts);
}
