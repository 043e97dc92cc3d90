import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';

const FETCH_AGAIN = 'The file is damaged or incomplete: fetch it again and compare its size with that of the source.';
const WRITE_AGAIN =
  'The file does not follow the safetensors format: write it again with a current safetensors library.';

/** The rules that a file can break, under the names of the format's own reader, each with what to do. */
const REMEDY = {
  HeaderTooSmall: FETCH_AGAIN,
  HeaderTooLarge: 'This is no safetensors file, or its first bytes are damaged: check that it is the right file.',
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
  InvalidTarget: 'Pass a Uint8Array of just that many bytes.',
  InvalidTensorView: 'Correct what is given to the writer.',
} as const;

export type SafetensorsRule = keyof typeof REMEDY;

/** A safetensors file, or a tensor to be written to one, that breaks a rule of the format. */
export class SafetensorsError extends LoadError {
  override readonly name = 'SafetensorsError';
  readonly file: string;
  readonly rule: SafetensorsRule;
  /** The tensor that breaks the rule, where it is one. */
  readonly tensor: string | undefined;

  constructor(file: string, rule: SafetensorsRule, problem: string, tensor?: string) {
    super(`${file}: ${tensor === undefined ? '' : `tensor ${quote(tensor)}: `}${problem} (${rule}). ${REMEDY[rule]}`);
    this.file = file;
    this.rule = rule;
    this.tensor = tensor;
  }
}
