import { isatty } from 'node:tty';
import pc from 'picocolors';
/** Control characters but tab and line feed: from a model or a file, they could drive the terminal. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Text that only shows itself on a terminal. Of its line ends, `\n` stays. */
export const printable = (text: string): string => text.replaceAll('\r', '').replace(CONTROL, '\ufffd');

/** The same in one line, for messages. */
export const oneLine = (text: string): string => printable(text.replaceAll(/\s+/g, ' ').trim());

/** Colours for a stream that is a terminal, unless NO_COLOR is set; elsewhere they leave text as it is, also in CI. */
export const colorsFor = ({ fd }: { readonly fd: number }): ReturnType<typeof pc.createColors> =>
  pc.createColors(pc.isColorSupported && isatty(fd));
