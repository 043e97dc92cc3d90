/** What Chrome DevTools calls to show a value: JsonML, or null for its own way. */
interface DevtoolsFormatter {
  header(value: unknown): readonly unknown[] | null;
  hasBody(value: unknown): boolean;
  body(value: object): readonly unknown[];
}

/**
 * Has Chrome DevTools show the values for which `describe` has a text by it, where its setting "Custom formatters" is on; they
 * can still be unfolded (https://www.mattzeunert.com/2016/02/19/custom-chrome-devtools-object-formatters.html).
 */
export function addDevtoolsFormatter(describe: (value: unknown) => string | undefined): void {
  const host = globalThis as { devtoolsFormatters?: DevtoolsFormatter[] };
  const formatter: DevtoolsFormatter = {
    header: (value) => {
      const text = describe(value);
      return text === undefined ? null : ['span', {}, text];
    },
    hasBody: () => true,
    body: (value) => ['span', {}, ['object', { object: { ...value } }]], // A copy without this formatter.
  };
  host.devtoolsFormatters = [...(host.devtoolsFormatters ?? []), formatter];
}
