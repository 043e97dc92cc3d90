import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';

const FETCH_AGAIN = 'The file is damaged or incomplete: fetch it again and compare its size with that of the source.';
const WRITE_AGAIN =
  'The file does not follow the safetensors format: write it again with a current safetensors library.';

/** The rules that a file can break, by the names of the format's own reader, each with its remedy for the message. */
const REMEDY = {
  HeaderTooSmall: FETCH_AGAIN,
  HeaderTooLarge: 'This is not a safetensors file, or its first bytes are damaged: check that it is the right file.',
  InvalidHeaderLength: FETCH_AGAIN,
  InvalidHeader: WRITE_AGAIN,
  InvalidHeaderDeserialization: WRITE_AGAIN,
  InvalidOffset: WRITE_AGAIN,
  ValidationOverflow: WRITE_AGAIN,
  MisalignedSlice: WRITE_AGAIN,
  TensorInvalidInfo: WRITE_AGAIN,
  MetadataIncompleteBuffer: FETCH_AGAIN,
  TensorNotFound: 'List the names with `tensors.keys()`.',
  UnsupportedDType: 'Read its bytes with `readInto` and decode them, or convert the file.',
  InvalidTarget: 'Pass a Uint8Array of exactly that many bytes.',
  InvalidTensorView: 'Correct the arguments of writeSafetensors.',
} as const;

/** The name of a rule, as the format's own reader calls it. */
export type SafetensorsRule = keyof typeof REMEDY;

/** A safetensors file, or a tensor to be written to one, breaks a rule of the format. */
export class SafetensorsError extends LoadError {
  override readonly name = 'SafetensorsError';
  /** The path of the file. */
  readonly file: string;
  readonly rule: SafetensorsRule;
  /** The tensor that breaks the rule, if it is a tensor. */
  readonly tensor: string | undefined;

  constructor(file: string, rule: SafetensorsRule, problem: string, tensor?: string) {
    super(`${file}: ${tensor === undefined ? '' : `tensor ${quote(tensor)}: `}${problem} (${rule}). ${REMEDY[rule]}`);
    this.file = file;
    this.rule = rule;
    this.tensor = tensor;
  }
}
