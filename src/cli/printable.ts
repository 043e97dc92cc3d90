import { isatty } from 'node:tty';
import pc from 'picocolors';

/** Control characters but tab and line feed. In text from a model or a file, they could control the terminal. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Text that is safe to print on a terminal: control characters become U+FFFD, and `\r` is removed. */
export const printable = (text: string): string => text.replaceAll('\r', '').replace(CONTROL, '\ufffd');

/** Text that is safe to print, in one line. */
export const oneLine = (text: string): string => printable(text.replaceAll(/\s+/g, ' ').trim());

/**
 * Functions that colour text for a stream, if it is a terminal and NO_COLOR is not set; else they return the text, also in CI.
 */
export const colorsFor = ({ fd }: { readonly fd: number }): ReturnType<typeof pc.createColors> =>
  pc.createColors(pc.isColorSupported && isatty(fd));
